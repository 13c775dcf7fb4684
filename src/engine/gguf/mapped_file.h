// A regular file mapped for reading, that survives the file being cut while it is mapped.
//
// Owns      descriptor and mapping
// Errors    NOT_FOUND no such file · INVALID_ARGUMENT a directory or no regular file · DATA_LOSS changed
//           underneath
// Threads   immutable after Open(); CheckUnchanged() from any thread
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "engine/gguf/fault_guard.h"

namespace weir {

class MappedFile {
 public:
  static Result<std::unique_ptr<MappedFile>> Open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // DATA_LOSS when size or modification time is not that of Open(), or a page could not be read.
  Status CheckUnchanged() const;
  // Asks the kernel to have these bytes of any mapping in memory soon, without waiting for them.
  static void ReadAhead(std::span<const std::byte> part);
  // Gives the whole pages inside `part` back to the kernel; reading them again reads the file again.
  static void DropPages(std::span<const std::byte> part);

 private:
  MappedFile() = default;

  int descriptor_ = -1;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  timespec modified_ = {};
  FaultGuard guard_;
};

}  // namespace weir
