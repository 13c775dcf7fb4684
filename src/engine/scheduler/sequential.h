// One request from prefill to last token, in the order of arrival, then the next: the server of the reference
// study.
//
// Owns      as Scheduler
// Threads   engine thread only
//
// It exists so that before and after can be measured in one run; kernels, HTTP and ledger are the same as
// ever.
#pragma once

#include "engine/scheduler/scheduler.h"

namespace weir {

class SequentialScheduler final : public Scheduler {
 public:
  using Scheduler::Scheduler;
  void Schedule(TimePoint now, StepPlan* plan) override;
};

}  // namespace weir
