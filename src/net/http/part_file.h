// PATH.part, what has come of a file so far, and PATH.part.source, which says of what.
//
// Owns      a lock on PATH.part: nobody else writes it meanwhile
// Errors    INVALID_ARGUMENT a place that cannot be written · RESOURCE_EXHAUSTED no space · CANCELLED while waiting
// Threads   one
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"

namespace weir {

class PartFile {
 public:
  // Waits for whoever has it; `on_wait` is told once.
  static Result<PartFile> Open(const std::string& path, const std::atomic<bool>* interrupted,
                               const std::function<void()>& on_wait);
  ~PartFile();
  PartFile(PartFile&& other) noexcept;
  PartFile& operator=(PartFile&&) = delete;

  const std::string& part_path() const { return part_; }
  int64_t size() const { return size_; }
  // What an If-Range may say of the bytes that are there, when they came from `url`; empty: they cannot be continued.
  std::string ValidatorFor(const std::string& url) const;

  // Forgets what is there and notes where the next bytes come from.
  Status Restart(const std::string& url, const std::string& validator);
  Status Append(const char* data, size_t bytes);
  // Fails before long work when `more` bytes do not fit.
  Status CheckSpace(int64_t more) const;
  // Under the final name, and on the disk.
  Status Commit();
  void Discard();

 private:
  PartFile(std::string path, int descriptor);
  Status Failed(const char* what, int error) const;

  std::string path_, part_, source_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

}  // namespace weir
