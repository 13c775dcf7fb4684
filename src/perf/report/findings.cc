#include "perf/report/findings.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "perf/report/attribution.h"
#include "perf/report/evidence.h"
#include "perf/report/number_format.h"
#include "perf/report/rule_book.h"
#include "perf/report/trials.h"

namespace weir {
namespace {

// 1 / GAP-2 above 0.909: no gap, as OBS-09 says.
constexpr double kGapWorthACause = 1 - 1 / 1.10;

void CauseRules(const Facts& f, Rules& rules) {
  for (const char* which : {"before", "after"}) {
    const Json* causes = FindJson(f.report, {"attribution", which, "causes"});
    if (causes == nullptr || StringAt(f.report, fmt::format("/attribution/{}/verdict", which)) != "VALID")
      continue;
    const double gap = NumberAt(f.report, fmt::format("/attribution/{}/direct_tps", which)).value_or(0) -
                       NumberAt(f.report, fmt::format("/attribution/{}/api_tps", which)).value_or(0);
    // OBS-09: what is within the noise of two runs has no cause worth a name; the waterfall shows it all the same.
    const double direct = NumberAt(f.report, fmt::format("/attribution/{}/direct_tps", which)).value_or(0);
    if (gap < kGapWorthACause * direct) {
      rules.Add(
          "OBS-09", "observation", std::string(which) == "before" ? "load_before" : "load_after",
          fmt::format("The API keeps {} of the engine's throughput at {} in flight (GAP-2).",
                      FormatPercent(std::round((1 - gap / direct) * 1000) / 1000),
                      FormatNumber(NumberAt(f.report, fmt::format("/attribution/{}/concurrency", which)))),
          Json::array({Evidence("report", fmt::format("/attribution/{}/api_tps", which), f.report),
                       Evidence("report", fmt::format("/attribution/{}/direct_tps", which), f.report)}));
      continue;
    }
    CauseRecommendations(which, *causes, f, rules);
    for (size_t i = 0; i < causes->size(); ++i) {
      const double share = NumberAt((*causes)[i], "/share_ratio").value_or(0);
      const std::string cause = StringAt((*causes)[i], "/cause").value_or("");
      if (share < 0.05 || cause == "unattributed") continue;
      rules.Add(
          "CAUSE", "cause", which,
          fmt::format("{}: {} takes {} tok/s, {} of the gap at this concurrency.",
                      which == std::string("before") ? "Before" : "After", CauseInWords(cause),
                      FormatNumber(NumberAt((*causes)[i], "/tps")),
                      FormatPercent(std::round(share * 1000) / 1000)),
          Json::array({Evidence("report", fmt::format("/attribution/{}/causes/{}", which, i), f.report)}));
    }
  }
}

}  // namespace

Findings ApplyRules(const ReportInput& input, const Json& facts) {
  Findings out;
  Facts f{input.benchmark, StepBefore(input.steps), StepAfter(input.steps), facts, "", "", "", std::nullopt};
  Rules rules(f, &out);
  if (!input.benchmark.is_null()) {
    f.first = RowOfBatch(f.benchmark, 1);
    f.best = BestRow(f.benchmark);
    double largest = 0;
    for (size_t i = 0; i < f.benchmark["results"].size(); ++i) {
      const std::string row = fmt::format("/results/{}", i);
      const double batch = f.Bench(row + "/batch_size").value_or(0);
      if (batch > largest) {
        largest = batch;
        f.largest = row;
      }
    }
    const auto one = f.first.empty() ? std::nullopt : f.Bench(f.first + "/output_tps_steady");
    const auto many = f.largest.empty() ? std::nullopt : f.Bench(f.largest + "/output_tps_steady");
    if (one && many && *one > 0 && largest > 1) f.scaling = *many / *one;
    BenchmarkRules(f, rules);
  }
  if (f.before != nullptr) {
    LoadRules(f, *f.before, "load_before", rules);
    LedgerRules(*f.before, "load_before", rules);
  }
  if (f.after != nullptr && f.after != f.before) {
    LoadRules(f, *f.after, "load_after", rules);
    LedgerRules(*f.after, "load_after", rules);
  }
  CauseRules(f, rules);
  RecommendationRules(input, f, rules);
  NoChangeRule(f, rules);
  AddTrials(input.trials, &out.list);
  return out;
}

}  // namespace weir
