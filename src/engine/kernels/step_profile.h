// Where the time of one step goes, as its engine thread lives it: that thread is in exactly one segment at any moment, so
// the segments sum to the step.
//
// Units     Duration; meanwhile ticks of the CPU's time stamp counter, which at the end are scaled to the step's duration
// Requires  Begin(), any number of Enter(), End(), step after step
// Errors    none
// Threads   the engine thread only, which is kernel worker 0. What the other workers do shows as kBarrierWait once worker
//           0 has no unit left; while it has, its units stand for theirs, because all take from the same list
// Source    docs/MEASUREMENT.md, "Step breakdown"
//
// An Enter() costs some 25 ns, a read of the time stamp counter: a unit of a few microseconds can be split without changing
// what is measured.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/clock.h"

namespace weir {

enum class StepSegment : uint8_t {
  kSchedule,      // requests taken in, the plan, the flattened batch
  kEmbed,         // rows of the embedding, angles
  kNormQuantize,  // RMSNorm, SiLU, and bringing activations into the form that a product reads
  kMatmulQkv,
  kMatmulOut,
  kMatmulFfn,
  kLmHead,
  kRopeKvWrite,
  kAttention,
  kSampling,
  kBarrierWait,  // starting the other workers and waiting for the last of them
  kOther,        // telling readers and the scheduler what came out
};
inline constexpr int kNumStepSegments = 12;
std::string_view StepSegmentName(StepSegment segment);  // "norm_quantize"

using StepSegments = std::array<Duration, kNumStepSegments>;

class StepProfile {
 public:
  void Begin(StepSegment first) {
    ticks_.fill(0);
    current_ = first;
    entered_ = Ticks();
  }
  void Enter(StepSegment next) {
    const uint64_t now = Ticks();
    // Another core's counter may be a little behind.
    if (now > entered_) ticks_[static_cast<size_t>(current_)] += now - entered_;
    entered_ = now;
    current_ = next;
  }
  StepSegment current() const { return current_; }
  // The time of every segment; their sum is `step`, how long all took by the monotonic clock.
  StepSegments End(Duration step);

 private:
  static uint64_t Ticks() { return __builtin_ia32_rdtsc(); }

  std::array<uint64_t, kNumStepSegments> ticks_{};
  uint64_t entered_ = 0;
  StepSegment current_ = StepSegment::kOther;
};

// For where a profile is optional: nothing happens without one.
inline void EnterSegment(StepProfile* profile, StepSegment segment) {
  if (profile != nullptr) profile->Enter(segment);
}

}  // namespace weir
