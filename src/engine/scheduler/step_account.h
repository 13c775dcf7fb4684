// Whose time it was: what came before a step and what the step took, charged to the ledgers of those who wait and run.
//
// Threads   engine thread only. Reads no clock: the engine does, as often whoever runs
// Source    docs/MEASUREMENT.md, "Latency ledger"
#pragma once

#include <memory>
#include <span>

#include "base/clock.h"
#include "engine/scheduler/cost_model.h"
#include "engine/scheduler/step_plan.h"

namespace weir {

struct StepTimes {
  TimePoint started{};
  TimePoint forward_started{};
  TimePoint forward_ended{};
  TimePoint ended{};
};

// Before the step: who waits and why, who runs without a part in it, and who has one.
void ChargeWaits(std::span<const std::unique_ptr<Sequence>> waiting,
                 std::span<const std::unique_ptr<Sequence>> running, const StepPlan& plan, TimePoint now);

// After it, and before its tokens are committed, because a sequence's share depends on what it had computed until now.
void ChargeStep(const StepPlan& plan, const CostModel& cost, const StepTimes& times);

}  // namespace weir
