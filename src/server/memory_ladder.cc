#include "server/memory_ladder.h"

namespace weir {
namespace {

constexpr double kSpareFrom = 0.92;
constexpr double kRefuseFrom = 0.95;
// Below its beginning, so that a step does not flicker.
constexpr double kEndsLower = 0.02;

}  // namespace

MemoryStep MemoryLadder::Observe(int64_t used_bytes, int64_t limit_bytes) {
  const double share =
      limit_bytes > 0 ? static_cast<double>(used_bytes) / static_cast<double>(limit_bytes) : 0.0;
  const auto holds = [&](MemoryStep step, double from) {
    return share >= (step_ >= step ? from - kEndsLower : from);
  };
  step_ = holds(MemoryStep::kRefuse, kRefuseFrom) ? MemoryStep::kRefuse
          : holds(MemoryStep::kSpare, kSpareFrom) ? MemoryStep::kSpare
                                                  : MemoryStep::kNone;
  return step_;
}

}  // namespace weir
