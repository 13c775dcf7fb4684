// Notices an engine that has work and does not get on: a hung kernel, a lost wake-up, a device that is gone.
//
// Threads   one
//
// A server without work is never stalled, however long it waits.
#pragma once

#include "base/clock.h"

namespace weir {

class ProgressWatchdog {
 public:
  // Looks at the engine as it is now; to be called about once a second. True while it is stalled: with work waiting, no
  // step has ended for the longer of 10 s and 10 times a usual step. `usual_step` zero: none has ended yet, and the first
  // one, which touches all weights for the first time, has 120 s.
  bool Observe(bool has_work, TimePoint last_step_ended, Duration usual_step, TimePoint now);

 private:
  TimePoint last_step_{};
  TimePoint since_{};  // the last sign of life
};

}  // namespace weir
