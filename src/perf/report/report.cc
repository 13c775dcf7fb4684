#include "perf/report/report.h"

#include <fmt/format.h>

#include "perf/recorder/environment.h"
#include "perf/report/attribution.h"
#include "perf/report/charts.h"
#include "perf/report/evidence.h"
#include "perf/report/findings.h"
#include "perf/report/number_format.h"
#include "perf/report/reference_study.h"
#include "perf/report/root_cause.h"
#include "perf/statistics/validity.h"

namespace weir {
namespace {

std::optional<double> At(const LadderStep* step, const std::string& pointer) {
  return step == nullptr ? std::nullopt : NumberAt(step->document, "/results/0" + pointer);
}

std::optional<double> Ratio(std::optional<double> a, std::optional<double> b) {
  if (!a || !b || *b == 0) return std::nullopt;
  return *a / *b;
}

std::string StatusOfSuccess(std::optional<double> ratio) {
  if (!ratio) return kNotMeasured;
  return *ratio >= 0.99 ? "OK" : *ratio >= 0.95 ? "WARN" : "CRITICAL";
}

std::string StatusOfGap(std::optional<double> kept) {
  if (!kept) return kNotMeasured;
  return *kept >= 0.8 ? "OK" : *kept >= 0.5 ? "WARN" : "CRITICAL: API bottleneck";
}

std::string StatusOfShare(std::optional<double> share) {
  if (!share) return kNotMeasured;
  return *share >= 0.8 ? "near the limit" : *share >= 0.6 ? "OK" : "WARN";
}

// Rows of the summary: metric, direct, API before and after the repair, status of the last.
Json Summary(const ReportInput& input, const LadderStep* before, const LadderStep* after) {
  const std::string best = BestRow(input.benchmark);
  const auto bench = [&](const std::string& pointer) {
    return best.empty() ? std::nullopt : NumberAt(input.benchmark, best + pointer);
  };
  Json rows = Json::array();
  const auto add = [&](const char* metric, const char* formula, std::optional<double> direct,
                       std::optional<double> api_before, std::optional<double> api, const char* unit,
                       const std::string& status, const char* rule) {
    rows.push_back({{"metric", metric},
                    {"formula", formula},
                    {"direct", NumberOrNull(direct)},
                    {"api_before", NumberOrNull(api_before)},
                    {"api", NumberOrNull(api)},
                    {"unit", unit},
                    {"status", status},
                    {"rule", rule}});
  };
  const auto best_tps = bench("/output_tps_steady");
  add("max_throughput", "THR-OUT-2 / THR-OUT-1", best_tps, At(before, "/output_tps"),
      At(after, "/output_tps"), "tok/s", StatusOfGap(Ratio(At(after, "/output_tps"), best_tps)), "GAP-1");
  add("best_batch_size", "", bench("/batch_size"), std::nullopt, std::nullopt, "sequences", "", "REC-01");
  add("p95_latency", "E2EL-1", bench("/e2el_ms/p95"), At(before, "/e2el_ms/p95"), At(after, "/e2el_ms/p95"),
      "ms", "", "");
  if (At(before, "/counts/failed").value_or(0) > 0 || At(after, "/counts/failed").value_or(0) > 0) {
    add("p95_latency_with_failures", "E2EL-4", std::nullopt, At(before, "/e2el_with_failed_ms/p95"),
        At(after, "/e2el_with_failed_ms/p95"), "ms", "", "V-17");
  }
  add("success", "SUC-1", bench("/success_ratio"), At(before, "/success_ratio"), At(after, "/success_ratio"),
      "ratio", StatusOfSuccess(At(after, "/success_ratio")), "");
  add("shed", "REJ-1", std::nullopt, At(before, "/shed_ratio"), At(after, "/shed_ratio"), "ratio", "",
      "OBS-11");
  add("cpu_utilisation", "", bench("/utilization/cpu_ratio"), At(before, "/server/cpu_ratio"),
      At(after, "/server/cpu_ratio"), "ratio", "", "OBS-06");
  add("share_of_limit", "SHARE-1", bench("/limit/share_ratio"), std::nullopt, std::nullopt, "ratio",
      StatusOfShare(bench("/limit/share_ratio")), "OBS-05");
  return rows;
}

Json Comparison(const ReportInput& input) {
  Json rows = Json::array();
  const std::string best = BestRow(input.benchmark);
  const auto bench = [&](const std::string& row, const std::string& pointer) {
    return row.empty() ? std::nullopt : NumberAt(input.benchmark, row + pointer);
  };
  for (const LadderStep& step : input.steps) {
    const auto add = [&](const char* metric, const char* formula, std::optional<double> direct,
                         std::optional<double> api, std::optional<double> ratio) {
      rows.push_back({{"step", step.id},
                      {"metric", metric},
                      {"formula", formula},
                      {"direct", NumberOrNull(direct)},
                      {"api", NumberOrNull(api)},
                      {"ratio", NumberOrNull(ratio)}});
    };
    const auto tps = At(&step, "/output_tps");
    add("output_tps", "GAP-1", bench(best, "/output_tps_steady"), tps,
        Ratio(bench(best, "/output_tps_steady"), tps));
    const std::string same = RowOfBatch(input.benchmark, At(&step, "/concurrency").value_or(-1));
    const auto steady = At(&step, "/output_tps_steady");
    add("output_tps_same_concurrency", "GAP-2", bench(same, "/output_tps_steady"), steady,
        Ratio(bench(same, "/output_tps_steady"), steady));
    add("requests_per_s", "THR-REQ-1", bench(best, "/requests_per_s"), At(&step, "/requests_per_s"),
        Ratio(bench(best, "/requests_per_s"), At(&step, "/requests_per_s")));
    add("success", "SUC-1", bench(best, "/success_ratio"), At(&step, "/success_ratio"), std::nullopt);
    add("e2el_p95_ms", "E2EL-1", bench(best, "/e2el_ms/p95"), At(&step, "/e2el_ms/p95"),
        Ratio(At(&step, "/e2el_ms/p95"), bench(best, "/e2el_ms/p95")));
  }
  return rows;
}

Json Ladder(const ReportInput& input) {
  Json rows = Json::array();
  const auto best = NumberAt(input.benchmark, BestRow(input.benchmark) + "/output_tps_steady");
  for (const LadderStep& step : input.steps) {
    if (step.id.empty()) continue;
    const auto value = [&](const char* pointer) { return NumberOrNull(At(&step, pointer)); };
    rows.push_back({{"step", step.id},
                    {"title", step.title},
                    {"server_flags", step.server_flags},
                    {"timeout_s", value("/timeout_s")},
                    {"predicted", step.predicted},
                    {"measured",
                     {{"sent", value("/counts/sent")},
                      {"ok", value("/counts/ok")},
                      {"failed", value("/counts/failed")},
                      {"shed", value("/counts/shed")},
                      {"success_ratio", value("/success_ratio")},
                      {"wall_s", value("/wall_s")},
                      {"output_tps", value("/output_tps")},
                      {"e2el_p50_ms", value("/e2el_ms/p50")},
                      {"e2el_p95_ms", value("/e2el_ms/p95")},
                      {"e2el_with_failed_p95_ms", value("/e2el_with_failed_ms/p95")},
                      {"ttft_p50_ms", value("/ttft_ms/p50")},
                      {"gap_1", NumberOrNull(Ratio(best, At(&step, "/output_tps")))},
                      {"verdict", StringAt(step.document, "/validity/verdict").value_or("")}}},
                    {"file", step.file}});
  }
  return rows;
}

Json AgainstReference(const ReportInput& input, const LadderStep* before) {
  Json rows = Json::array();
  const auto add = [&](const char* metric, std::optional<double> ours, double reference,
                       std::optional<double> other_machine) {
    rows.push_back({{"metric", metric},
                    {"ours", NumberOrNull(ours)},
                    {"reference", reference},
                    {"ratio", NumberOrNull(Ratio(ours, reference))},
                    {"other_machine", NumberOrNull(other_machine)}});
  };
  const auto x = [&](double batch) {
    const std::string row = RowOfBatch(input.benchmark, batch);
    return row.empty() ? std::nullopt : NumberAt(input.benchmark, row + "/output_tps_steady");
  };
  const auto& rows_ref = ReferenceStudy::kBatchRows;
  for (size_t i = 1; i < rows_ref.size(); ++i) {
    add(fmt::format("scaling from batch 1 to {}", rows_ref[i].batch_size).c_str(),
        Ratio(x(rows_ref[i].batch_size), x(1)), rows_ref[i].output_tps / rows_ref[0].output_tps,
        rows_ref[i].output_tps);
  }
  for (size_t i = 0; i < rows_ref.size(); ++i) {
    const std::string row = RowOfBatch(input.benchmark, rows_ref[i].batch_size);
    add(fmt::format("share of the physical limit at batch {}", rows_ref[i].batch_size).c_str(),
        row.empty() ? std::nullopt : NumberAt(input.benchmark, row + "/limit/share_ratio"),
        rows_ref[i].output_tps / ReferenceStudy::kLimitTps[i], rows_ref[i].output_tps);
  }
  const auto best = NumberAt(input.benchmark, BestRow(input.benchmark) + "/output_tps_steady");
  add("engine ÷ failing API (GAP-1)", Ratio(best, At(before, "/output_tps")),
      rows_ref.back().output_tps / ReferenceStudy::kApiTps, ReferenceStudy::kApiTps);
  add("success through the failing API", At(before, "/success_ratio"),
      static_cast<double>(ReferenceStudy::kSucceeded) / ReferenceStudy::kRequests, std::nullopt);
  return rows;
}

std::string WorstVerdict(const ReportInput& input, const Validity& own) {
  std::string worst = "VALID";
  const auto consider = [&](const Json& document) {
    const std::string verdict = StringAt(document, "/validity/verdict").value_or("");
    if (verdict == "INVALID" || (verdict == "WARN" && worst == "VALID")) worst = verdict;
  };
  if (!input.benchmark.is_null()) consider(input.benchmark);
  for (const LadderStep& step : input.steps) consider(step.document);
  consider({{"validity", own.ToJson()}});
  return worst;
}

Json FutureTests(const ReportInput& input) {
  const auto find = [&](const std::string& id) -> const LadderStep* {
    for (const LadderStep& step : input.steps) {
      if (step.id == id) return &step;
    }
    return nullptr;
  };
  Json list = Json::array();
  const auto add = [&](const char* id, const char* question, std::optional<std::string> answer) {
    list.push_back({{"id", id},
                    {"question", question},
                    {"run", answer.has_value()},
                    {"answer", answer.value_or("not run")}});
  };
  const auto describe = [&](const LadderStep* step) -> std::optional<std::string> {
    if (step == nullptr) return std::nullopt;
    return fmt::format("{} of {} ok, {} tok/s, p95 {}", FormatNumber(At(step, "/counts/ok")),
                       FormatNumber(At(step, "/counts/sent")), FormatNumber(At(step, "/output_tps")),
                       FormatMilliseconds(At(step, "/e2el_ms/p95")));
  };
  add("F1", "Concurrency 1: latency without a queue", describe(find("S")));
  add("F2", "A longer timeout: the true latency of queued requests (step B)", describe(find("B")));
  std::string larger;
  for (double batch : {16.0, 32.0, 64.0}) {
    const std::string row = RowOfBatch(input.benchmark, batch);
    if (!row.empty()) {
      larger += fmt::format("{}batch {}: {} tok/s", larger.empty() ? "" : "; ", FormatNumber(batch),
                            FormatNumber(NumberAt(input.benchmark, row + "/output_tps_steady")));
    }
  }
  add("F3", "Larger batches", larger.empty() ? std::nullopt : std::optional<std::string>(larger));
  add("F4", "Continuous batching on (step D)", describe(find("D")));
  return list;
}

}  // namespace

const LadderStep* StepBefore(const std::vector<LadderStep>& steps) {
  const LadderStep* found = nullptr;
  for (const LadderStep& step : steps) {
    if (step.id == "A") return &step;
    if (found == nullptr && step.id != "S" &&
        NumberAt(step.document, "/results/0/counts/failed").value_or(0) > 0)
      found = &step;
  }
  return found;
}

const LadderStep* StepAfter(const std::vector<LadderStep>& steps) {
  const LadderStep* found = nullptr;
  for (const LadderStep& step : steps) {
    if (step.id == "E") return &step;
    if (step.id.empty()) found = &step;
  }
  return found;
}

Result<Json> BuildReport(const ReportInput& input) {
  if (input.benchmark.is_null() && input.steps.empty()) {
    return InvalidArgument(
        "no benchmark and no load test to report on; give result files of 'weir bench' or 'weir load'");
  }
  const LadderStep* before = StepBefore(input.steps);
  const LadderStep* after = StepAfter(input.steps);
  Json report = NewDocument("report", input.command);
  report["sources"] = input.sources;
  report["summary"] = Summary(input, before, after);
  report["benchmark"] = input.benchmark;
  report["load_tests"] = Json::array();
  for (const LadderStep& step : input.steps) {
    report["load_tests"].push_back({{"step", step.id},
                                    {"title", step.title},
                                    {"server_flags", step.server_flags},
                                    {"file", step.file},
                                    {"document", step.document}});
  }
  report["comparison"] = Comparison(input);
  Validity validity;
  report["attribution"] = AttributeBoth(input, &validity);
  report["root_causes"] = Json::array();
  for (const LadderStep& step : input.steps) report["root_causes"].push_back(NameRootCauses(step));
  report["ladder"] = Ladder(input);
  report["reference_name"] = ReferenceStudy::kName;
  report["reference"] = AgainstReference(input, before);
  report["future_tests"] = FutureTests(input);
  const Findings findings = ApplyRules(input, report);
  report["findings"] = findings.list;
  report["silent_rules"] = findings.silent;
  report["charts"] = BuildCharts(input, report);
  report["validity"] = validity.ToJson();
  report["validity"]["verdict"] = WorstVerdict(input, validity);
  return report;
}

}  // namespace weir
