#include "net/http/part_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/file.h"

namespace weir {

PartFile::PartFile(std::string path, int descriptor)
    : path_(std::move(path)), part_(path_ + ".part"), source_(part_ + ".source"), descriptor_(descriptor) {}

PartFile::PartFile(PartFile&& other) noexcept
    : path_(other.path_),
      part_(other.part_),
      source_(other.source_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

PartFile::~PartFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

Status PartFile::Failed(const char* what, int error) const {
  const std::string message = fmt::format("{}: cannot {}: {}", part_, what, std::strerror(error));
  if (error == ENOSPC || error == EDQUOT || error == EFBIG)
    return ResourceExhausted(message + "; make room and give the same command, which goes on from here");
  return InvalidArgument(message + "; choose another place with --output");
}

Result<PartFile> PartFile::Open(const std::string& path, const std::atomic<bool>* interrupted,
                                const std::function<void()>& on_wait) {
  bool has_waited = false;
  while (true) {
    const std::string part = path + ".part";
    PartFile out(path, open(part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (out.descriptor_ < 0) return out.Failed("open it", errno);
    while (flock(out.descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) return out.Failed("lock it", errno);
      if (interrupted != nullptr && interrupted->load()) return Cancelled("interrupted");
      if (!std::exchange(has_waited, true)) on_wait();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    // Whoever had it before may have renamed it meanwhile.
    struct stat held {
    }, named{};
    if (fstat(out.descriptor_, &held) != 0 || !S_ISREG(held.st_mode)) return out.Failed("use it", EINVAL);
    if (stat(part.c_str(), &named) != 0 || named.st_ino != held.st_ino || named.st_dev != held.st_dev)
      continue;
    out.size_ = held.st_size;
    return out;
  }
}

std::string PartFile::ValidatorFor(const std::string& url) const {
  const Result<std::string> text = ReadFile(source_, 1 << 16);
  if (!text.has_value() || size_ == 0) return "";
  const size_t line = text->find('\n');
  if (line == std::string::npos || text->substr(0, line) != url) return "";
  const std::string rest = text->substr(line + 1);
  return rest.substr(0, rest.find('\n'));
}

Status PartFile::Restart(const std::string& url, const std::string& validator) {
  if (ftruncate(descriptor_, 0) != 0) return Failed("empty it", errno);
  size_ = 0;
  // The URL may hold a signature: for the owner's eyes.
  if (const int file = open(source_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
      file >= 0)
    close(file);
  const std::string text = url + "\n" + validator + "\n";
  const int file = open(source_.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  const bool is_written =
      file >= 0 && write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  if (file >= 0) close(file);
  return is_written ? OkStatus() : Failed("note its source", error);
}

Status PartFile::Append(const char* data, size_t bytes) {
  while (bytes > 0) {
    const ssize_t written = pwrite(descriptor_, data, bytes, size_);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return Failed("write", written < 0 ? errno : ENOSPC);
    size_ += written;
    data += written;
    bytes -= static_cast<size_t>(written);
  }
  return OkStatus();
}

Status PartFile::CheckSpace(int64_t more) const {
  struct statvfs info {};
  if (fstatvfs(descriptor_, &info) != 0) return OkStatus();
  const auto free = static_cast<unsigned __int128>(info.f_bavail) * info.f_frsize;
  if (static_cast<unsigned __int128>(std::max<int64_t>(more, 0)) <= free) return OkStatus();
  return ResourceExhausted(fmt::format(
      "{}: {} more bytes are to come, but the disk has room for {}; make room, or choose another place "
      "with --output",
      part_, more, static_cast<uint64_t>(free)));
}

Status PartFile::Commit() {
  if (fsync(descriptor_) != 0) return Failed("write it to the disk", errno);
  if (rename(part_.c_str(), path_.c_str()) != 0) return Failed("rename it", errno);
  unlink(source_.c_str());
  const size_t slash = path_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
  if (const int directory = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); directory >= 0) {
    fsync(directory);
    close(directory);
  }
  return OkStatus();
}

void PartFile::Discard() {
  unlink(part_.c_str());
  unlink(source_.c_str());
}

}  // namespace weir
