#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weir {
namespace {

// Owns a descriptor for the length of a scope.
struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

Status WriteError(const std::string& path, int error) {
  return InvalidArgument(fmt::format("cannot write '{}': {}; choose a place that exists and is writable",
                                     path, std::strerror(error)));
}

std::string TemporaryName(const std::string& path) { return fmt::format("{}.tmp{}", path, getpid()); }

// `forbidden`: permission bits that the file must not have.
Result<std::string> ReadWithin(const std::string& path, uint64_t max_bytes, mode_t forbidden) {
  Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) {
    const std::string message = fmt::format("cannot read '{}': {}", path, std::strerror(errno));
    return errno == ENOENT || errno == ENOTDIR ? NotFound(message) : InvalidArgument(message);
  }
  struct stat info {};
  if (fstat(file.fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    return InvalidArgument(fmt::format("cannot read '{}': it is a directory, expected a file", path));
  }
  if ((info.st_mode & forbidden) != 0) {
    return InvalidArgument(
        fmt::format("'{}' has mode {:04o}: others can read or change it; run 'chmod 600 {}'", path,
                    static_cast<unsigned>(info.st_mode & 07777), path));
  }
  std::string content;
  char buffer[65536];
  for (;;) {
    const ssize_t count = read(file.fd, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return DataLoss(fmt::format("reading '{}' failed: {}", path, std::strerror(errno)));
    if (count == 0) return content;
    if (content.size() + static_cast<size_t>(count) > max_bytes) {
      return InvalidArgument(fmt::format("'{}' is larger than the {} bytes allowed here", path, max_bytes));
    }
    content.append(buffer, static_cast<size_t>(count));
  }
}

}  // namespace

Result<std::string> ReadFile(const std::string& path, uint64_t max_bytes) {
  return ReadWithin(path, max_bytes, 0);
}

Result<std::string> ReadSecretFile(const std::string& path, uint64_t max_bytes) {
  return ReadWithin(path, max_bytes, S_IRWXO | S_IWGRP);
}

Status WriteFile(const std::string& path, std::string_view content) {
  const std::string temporary = TemporaryName(path);
  {
    Descriptor file{open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (file.fd < 0) return WriteError(path, errno);
    while (!content.empty()) {
      const ssize_t count = write(file.fd, content.data(), content.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) {
        const int error = errno;
        unlink(temporary.c_str());
        return WriteError(path, error);
      }
      content.remove_prefix(static_cast<size_t>(count));
    }
    if (fsync(file.fd) != 0 && errno != EINVAL) {
      const int error = errno;
      unlink(temporary.c_str());
      return WriteError(path, error);
    }
  }
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    unlink(temporary.c_str());
    return WriteError(path, EISDIR);
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    unlink(temporary.c_str());
    return WriteError(path, error);
  }
  return OkStatus();
}

Status CheckWritable(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return WriteError(path, EISDIR);
    if (access(path.c_str(), W_OK) != 0) return WriteError(path, errno);
  }
  const std::string temporary = TemporaryName(path);
  Descriptor file{open(temporary.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)};
  if (file.fd < 0) return WriteError(path, errno);
  unlink(temporary.c_str());
  return OkStatus();
}

}  // namespace weir
