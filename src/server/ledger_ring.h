// The last requests that ended, for whoever joins them with what a client measured.
//
// Owns      at most `capacity` records; the oldest goes first
// Threads   any; one short lock
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "server/closed_request.h"

namespace weir {

class LedgerRing {
 public:
  static constexpr size_t kCapacity = 65536;

  // All the room at once: a vector that grows moves everything it holds, while requests wait for the lock. The pages are
  // taken as they are filled.
  explicit LedgerRing(size_t capacity = kCapacity) : capacity_(capacity) { records_.reserve(capacity); }

  // Numbers the record and returns the number.
  uint64_t Add(ClosedRequest request);
  // The newest of that id; with `owner`, of those made with that key.
  std::optional<ClosedRequest> Find(std::string_view id, const std::string* owner = nullptr) const;
  // Records with a number above `since`, oldest first, at most `limit`.
  std::vector<ClosedRequest> After(uint64_t since, size_t limit) const;

 private:
  const ClosedRequest& At(uint64_t number) const REQUIRES(mutex_) {
    return records_[(number - 1) % capacity_];
  }

  size_t capacity_;
  mutable Mutex mutex_;
  std::vector<ClosedRequest> records_ GUARDED_BY(mutex_);  // grows to capacity_, then wraps
  uint64_t last_ GUARDED_BY(mutex_) = 0;
};

}  // namespace weir
