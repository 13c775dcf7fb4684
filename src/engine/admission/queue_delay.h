// Whether the queue stands: controlled delay (CoDel) on how long its oldest has waited.
//
// Requires  Observe() with a time that does not go back
// Errors    none
// Threads   one; pure, it sees times and no clock
// Source    docs/SCHEDULING.md, "When predictions fail"
//
// A queue is there to smooth bursts, so it is no sign of overload that somebody waits long, but that for a whole interval
// somebody always did. Then the newest are served first, because they can still be served in time, and who has waited
// longer than an interval is given up.
#pragma once

#include "base/clock.h"

namespace weir {

// Of the TTFT objective, which is also the interval. The door lets a queue of just that length stand, and its predictions may be
// off by a fifth; so only a longer one
// says that its predictions fail.
inline constexpr double kCodelTarget = 1.2;

class QueueDelay {
 public:
  QueueDelay(Duration interval, Duration target) : interval_(interval), target_(target) {}

  // Before each step: for how long the oldest has waited that did not begin; zero when nobody waits.
  void Observe(Duration oldest, TimePoint now);
  // Of the last whole interval.
  bool overloaded() const { return overloaded_; }
  bool GivesUp(Duration waited) const { return overloaded_ && waited > interval_; }

 private:
  const Duration interval_;
  const Duration target_;
  TimePoint interval_end_{};
  Duration smallest_ = Duration::max();  // of the interval that runs
  bool overloaded_ = false;
};

}  // namespace weir
