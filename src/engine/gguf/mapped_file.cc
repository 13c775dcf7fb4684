#include "engine/gguf/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weir {

Result<std::unique_ptr<MappedFile>> MappedFile::Open(const std::string& path) {
  std::unique_ptr<MappedFile> file(new MappedFile());
  // O_NONBLOCK, because opening a named pipe would otherwise wait for a writer for ever.
  file->descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file->descriptor_ < 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) return NotFound("no such file; check the path");
    if (error == EMFILE || error == ENFILE)
      return ResourceExhausted("too many open files; raise 'ulimit -n'");
    return InvalidArgument(fmt::format("cannot be opened: {}", std::strerror(error)));
  }
  struct stat info;
  if (fstat(file->descriptor_, &info) != 0) {
    return DataLoss(fmt::format("size cannot be read: {}", std::strerror(errno)));
  }
  if (S_ISDIR(info.st_mode)) return InvalidArgument("is a directory; name the .gguf file inside it");
  if (!S_ISREG(info.st_mode)) return InvalidArgument("is not a regular file; name a .gguf file");
  file->size_ = static_cast<size_t>(info.st_size);
  file->modified_ = info.st_mtim;
  if (file->size_ == 0) return file;
  void* const mapping = mmap(nullptr, file->size_, PROT_READ, MAP_PRIVATE, file->descriptor_, 0);
  if (mapping == MAP_FAILED) {
    file->size_ = 0;
    return ResourceExhausted(
        fmt::format("{} bytes cannot be mapped: {}", info.st_size, std::strerror(errno)));
  }
  file->data_ = static_cast<std::byte*>(mapping);
  WEIR_ASSIGN_OR_RETURN(file->guard_, FaultGuard::Protect(mapping, file->size_));
  return file;
}

MappedFile::~MappedFile() {
  guard_ = FaultGuard();  // before the mapping goes, so that no later mapping at this address counts as ours
  if (data_ != nullptr) munmap(data_, size_);
  if (descriptor_ >= 0) close(descriptor_);
}

Status MappedFile::CheckUnchanged() const {
  struct stat info;
  const bool same = fstat(descriptor_, &info) == 0 && static_cast<size_t>(info.st_size) == size_ &&
                    info.st_mtim.tv_sec == modified_.tv_sec && info.st_mtim.tv_nsec == modified_.tv_nsec;
  if (same && !guard_.Faulted()) return OkStatus();
  return DataLoss("file changed while being read; wait until nothing writes to it and try again");
}

void MappedFile::ReadAhead(std::span<const std::byte> part) {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t start = reinterpret_cast<uintptr_t>(part.data()) & ~(page - 1);
  const uintptr_t end = reinterpret_cast<uintptr_t>(part.data() + part.size());
  if (start < end) madvise(reinterpret_cast<void*>(start), end - start, MADV_WILLNEED);
}

void MappedFile::DropPages(std::span<const std::byte> part) {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t start = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) & ~(page - 1);
  const uintptr_t end = reinterpret_cast<uintptr_t>(part.data() + part.size()) & ~(page - 1);
  if (start < end) madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED);
}

}  // namespace weir
