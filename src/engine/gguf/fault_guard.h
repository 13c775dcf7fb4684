// Keeps the process alive when a mapped file shrinks: reading a page that is gone raises SIGBUS, and the guard
// puts zeros there and remembers it, so that the owner can refuse the file instead of dying with every request.
//
// Requires  the range is a mapping of whole pages and stays mapped while the guard lives
// Errors    RESOURCE_EXHAUSTED when too many ranges are guarded at once
// Threads   Faulted() from any thread; the first guard installs the process's SIGBUS handler, faults elsewhere
//           go to the handler that was there before
#pragma once

#include <cstddef>

#include "base/result.h"

namespace weir {

class FaultGuard {
 public:
  FaultGuard() = default;
  static Result<FaultGuard> Protect(void* start, size_t bytes);
  ~FaultGuard();
  FaultGuard(FaultGuard&& other) noexcept;
  FaultGuard& operator=(FaultGuard&& other) noexcept;

  bool Faulted() const;

 private:
  int slot_ = -1;
};

}  // namespace weir
