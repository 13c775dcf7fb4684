// What the server gives up as its memory runs out: first what it can spare, then new requests.
//
// Units     bytes
// Errors    none
// Threads   one; pure, somebody else reads how much there is
// Source    docs/OPERATIONS.md, "Memory"
#pragma once

#include <cstdint>

namespace weir {

enum class MemoryStep {
  kNone,
  kSpare,   // connections close after each answer, the prefix cache keeps nothing new
  kRefuse,  // and new requests get 429 memory_pressure
};

class MemoryLadder {
 public:
  // Each step begins at its share of the limit, and ends two points of it below. A limit of 0 is none.
  MemoryStep Observe(int64_t used_bytes, int64_t limit_bytes);
  MemoryStep step() const { return step_; }

 private:
  MemoryStep step_ = MemoryStep::kNone;
};

}  // namespace weir
