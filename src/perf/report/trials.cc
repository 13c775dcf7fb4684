#include "perf/report/trials.h"

#include "perf/report/evidence.h"

namespace weir {
namespace {

// Of the row that a trial ended with.
std::optional<double> Measured(const LadderStep& trial, const std::string& metric) {
  if (StringAt(trial.document, "/kind") == "benchmark") {
    const size_t rows = trial.document["results"].size();
    return rows == 0
               ? std::nullopt
               : NumberAt(trial.document, "/results/" + std::to_string(rows - 1) + "/output_tps_steady");
  }
  return NumberAt(trial.document, metric == "itl_p99_ms" ? "/results/0/itl_ms/p99" : "/results/0/" + metric);
}

}  // namespace

std::vector<TrialPlan> PlanTrials(const Json& report) {
  std::vector<TrialPlan> plans;
  for (const Json& finding : report["findings"]) {
    const Json* trial = FindJson(finding, {"trial"});
    if (trial == nullptr || !trial->is_object() || !finding["remeasured"].is_null()) continue;
    TrialPlan plan;
    plan.rule = StringAt(finding, "/rule").value_or("");
    plan.batch_size = static_cast<int>(NumberAt(*trial, "/batch_size").value_or(0));
    if (const Json* flags = FindJson(*trial, {"server_flags"})) {
      for (const Json& flag : *flags) plan.server_flags.push_back(flag.get<std::string>());
    }
    bool known = false;
    for (const TrialPlan& other : plans) known = known || other.rule == plan.rule;
    if (!known) plans.push_back(std::move(plan));
  }
  return plans;
}

void AddTrials(const std::vector<LadderStep>& trials, Json* findings) {
  for (const LadderStep& trial : trials) {
    for (Json& finding : *findings) {
      if (StringAt(finding, "/rule") != trial.id || !finding["remeasured"].is_null()) continue;
      const auto metric = StringAt(finding, "/expected/metric");
      const auto to = metric ? Measured(trial, *metric) : std::nullopt;
      if (!to) continue;
      const auto from = NumberAt(finding, "/expected/from");
      const bool less_is_better = metric->ends_with("_ms");
      const bool better = from && (less_is_better ? *to < *from : *to > *from);
      finding["remeasured"] = {
          {"metric", *metric}, {"from", NumberOrNull(from)}, {"to", *to},
          {"ci95", nullptr},   {"run_id", trial.file},       {"verdict", better ? "better" : "no better"}};
    }
  }
}

}  // namespace weir
