// Advice that was followed: what `weir run --try` measured of it beside what was measured before.
//
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Before and after"
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "perf/report/report.h"

namespace weir {

// How to follow a recommendation.
struct TrialPlan {
  std::string rule;
  std::vector<std::string>
      server_flags;  // beside those of the repaired server; empty: a larger batch of the benchmark
  int batch_size = 0;
};

// What the findings of a report ask for and nothing has measured yet, in their order.
std::vector<TrialPlan> PlanTrials(const Json& report);
// Fills `remeasured` of the findings whose advice one of the trials followed.
void AddTrials(const std::vector<LadderStep>& trials, Json* findings);

}  // namespace weir
