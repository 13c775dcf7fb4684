#include "perf/report/attribution.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "perf/report/evidence.h"
#include "perf/report/number_format.h"
#include "perf/report/same_workload.h"
#include "perf/report/slot_time.h"

namespace weir {
namespace {

bool HasInvalidClock(const Json& load_test) {
  const Json* checks = FindJson(load_test, {"validity", "checks"});
  for (size_t i = 0; checks != nullptr && i < checks->size(); ++i) {
    if (StringAt((*checks)[i], "/id") == "V-15" && StringAt((*checks)[i], "/verdict") == "INVALID")
      return true;
  }
  return false;
}

// What both sides of an attribution must have in common; checks of what it depends on go to `validity`.
void CheckAttribution(const Json& benchmark, const std::vector<RequestRecord>& benchmark_records,
                      const Json& load_test, const std::vector<RequestRecord>& records,
                      const std::string& which, Validity* validity, Json* gap) {
  const double bound = NumberAt(*gap, "/bound_ratio").value_or(0);
  validity->AddAbove("V-16", "attribution", NumberAt(*gap, "/residual_ratio").value_or(0), bound / 2, bound,
                     fmt::format("residual: {}, no cause claims {} of the slot time, limit {}", which,
                                 FormatPercent(NumberAt(*gap, "/residual_ratio")), FormatPercent(bound)));
  const WorkloadMatch match = MatchWorkloads(benchmark, benchmark_records, load_test, records);
  std::string reason = fmt::format("same workload: {}, {} prompts and {} outputs compared", which,
                                   match.shared_prompts, match.compared_outputs);
  if (!match.differences.empty())
    reason = fmt::format("not-same-workload: {}, {}", which, match.differences.front());
  validity->AddAbove("V-21", "attribution", static_cast<double>(match.differences.size()), std::nullopt, 0,
                     reason);
  (*gap)["same_workload"] = {{"shared_prompts", match.shared_prompts},
                             {"compared_outputs", match.compared_outputs},
                             {"differences", match.differences}};
  if (!match.differences.empty() || HasInvalidClock(load_test)) (*gap)["verdict"] = "INVALID";
}

// A step of the ladder against the direct run at the same number in flight; null when they do not fit.
Json AttributeStep(const ReportInput& input, const LadderStep* step, const std::string& which,
                   Validity* validity) {
  const Json* results = step == nullptr ? nullptr : FindJson(step->document, {"results"});
  if (results == nullptr || results->empty() || input.benchmark.is_null()) return nullptr;
  const auto balance = BalanceSlotTime((*results)[0], step->records);
  const auto api = NumberAt(step->document, "/results/0/output_tps");
  if (!balance || !api) return nullptr;
  const auto direct = ReadDirectSlots(input.benchmark, balance->concurrency);
  if (!direct) return nullptr;
  Json gap = AttributeGap(*balance, *direct, *api);
  if (gap.is_null()) return nullptr;
  gap["turns"] = nullptr;
  CheckAttribution(input.benchmark, input.benchmark_records, step->document, step->records, which, validity,
                   &gap);
  return gap;
}

const Json* FindRuns(const Json& benchmark) {
  const Json* rows = FindJson(benchmark, {"results"});
  return rows == nullptr || !rows->is_array() || rows->empty() ? nullptr : FindJson((*rows)[0], {"runs"});
}

// The engine and the repaired server in turns; null when that was not measured.
Json AttributeTurns(const ReportInput& input, const std::string& which, Validity* validity) {
  const Turns& turns = input.turns;
  const Json* rows = FindJson(turns.load_test, {"results"});
  const Json* runs = FindRuns(turns.benchmark);
  const auto batch = NumberAt(turns.benchmark, "/results/0/batch_size");
  if (rows == nullptr || runs == nullptr || !batch) return nullptr;
  std::vector<TurnPair> pairs;
  for (size_t i = 0; i < std::min(rows->size(), runs->size()); ++i) {
    const auto run_id = StringAt((*runs)[i], "/run_id");
    if (!run_id) continue;
    auto direct = BalanceRepeat(turns.benchmark_records, *run_id, static_cast<int>(*batch));
    auto api = BalanceSlotTime((*rows)[i], turns.records);
    if (direct && api && direct->concurrency == api->concurrency)
      pairs.push_back({std::move(*direct), std::move(*api)});
  }
  const size_t measured = pairs.size();
  pairs = MiddleTurns(std::move(pairs));
  if (pairs.empty()) return nullptr;
  std::vector<SlotTime> direct, api;
  for (TurnPair& pair : pairs) {
    direct.push_back(std::move(pair.direct));
    api.push_back(std::move(pair.api));
  }
  const SlotTime served = SumSlotTimes(api);
  DirectSlots slots = DirectFrom(SumSlotTimes(direct));
  ReadDecodeCurve(input.benchmark, &slots);
  Json gap = AttributeGap(served, slots, served.good_tokens * served.concurrency / served.total_ms * 1000);
  if (gap.is_null()) return nullptr;
  gap["turns"] = {{"measured", measured}, {"used", pairs.size()}};
  CheckAttribution(turns.benchmark, turns.benchmark_records, turns.load_test, turns.records, which, validity,
                   &gap);
  return gap;
}

}  // namespace

Json AttributeBoth(const ReportInput& input, Validity* validity) {
  Json before = AttributeStep(input, StepBefore(input.steps), "before", validity);
  Json after = AttributeTurns(input, "after", validity);
  if (after.is_null()) after = AttributeStep(input, StepAfter(input.steps), "after", validity);
  return {{"before", std::move(before)}, {"after", std::move(after)}};
}

std::string CauseInWords(std::string_view cause) {
  constexpr std::string_view kFailed = "failed.";
  if (cause.starts_with(kFailed)) return fmt::format("failed requests: {}", cause.substr(kFailed.size()));
  constexpr std::pair<std::string_view, std::string_view> kWords[] = {
      {"queue_slot", "waiting for a slot"},
      {"queue_kv", "waiting for KV cache"},
      {"queue_budget", "waiting for room in a step"},
      {"queue_fair", "waiting for others' turns"},
      {"shed", "refused requests"},
      {"cancelled", "cancelled requests"},
      {"idle", "no request in flight"},
  };
  for (const auto& [name, words] : kWords)
    if (cause == name) return std::string(words);
  return std::string(cause);
}

}  // namespace weir
