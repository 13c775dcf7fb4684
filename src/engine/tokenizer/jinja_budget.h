// What one rendering may spend. Counted, not timed, so a template that fails once fails always.
//
// Units     a step is one node evaluated, half a turn of a loop, 256 bytes of text copied or searched, or 16 bytes of text
//           looked at one by one; memory in bytes
// Threads   one object per rendering
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir {

class JinjaBudget {
 public:
  static constexpr uint64_t kMaxSteps = 400'000;
  static constexpr size_t kMaxOutputBytes = size_t{4} << 20;
  static constexpr size_t kMaxLiveBytes = size_t{64} << 20;
  static constexpr int kMaxDepth = 128;

  // False when spent.
  bool Step(uint64_t count = 1) {
    if (count > kMaxSteps - steps_) {
      steps_ = kMaxSteps;
      return false;
    }
    steps_ += count;
    return true;
  }
  bool HasRoom(uint64_t bytes) const { return bytes <= kMaxLiveBytes - live_bytes_; }
  // After HasRoom() said yes.
  void Hold(size_t bytes) { live_bytes_ += bytes; }
  void Release(size_t bytes) { live_bytes_ -= bytes; }
  uint64_t steps() const { return steps_; }
  size_t live_bytes() const { return live_bytes_; }

 private:
  uint64_t steps_ = 0;
  size_t live_bytes_ = 0;
};

}  // namespace weir
