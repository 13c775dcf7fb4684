#include "perf/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "perf/report/attribution.h"
#include "perf/report/evidence.h"
#include "perf/report/number_format.h"
#include "perf/report/slot_time.h"

namespace weir {
namespace {

Json Series(const std::string& name, const std::string& style, Json points) {
  return {{"name", name}, {"style", style}, {"points", std::move(points)}};
}

std::string StepName(const LadderStep& step) {
  return step.id.empty() ? step.title : fmt::format("{} {}", step.id, step.title);
}

Json ScalingChart(const Json& benchmark) {
  Json measured = Json::array(), linear = Json::array(), limit = Json::array();
  const auto one = NumberAt(benchmark, RowOfBatch(benchmark, 1) + "/output_tps_steady");
  for (const Json& row : benchmark["results"]) {
    const auto batch = NumberAt(row, "/batch_size");
    const auto tps = NumberAt(row, "/output_tps_steady");
    if (!batch || !tps) continue;
    measured.push_back({*batch, *tps});
    if (const auto roof = NumberAt(row, "/limit/output_tps")) limit.push_back({*batch, *roof});
    if (one && !RowOfBatch(benchmark, 1).empty()) linear.push_back({*batch, *batch * *one});
  }
  if (measured.empty()) return nullptr;
  Json series = Json::array({Series("measured", "line", measured)});
  if (linear.size() > 1) series.push_back(Series("linear from batch 1", "dashed", linear));
  if (!limit.empty()) series.push_back(Series("physical limit", "dashed", limit));
  return {{"id", "scaling"},        {"title", "Direct benchmark: throughput against batch size"},
          {"kind", "xy"},           {"x", "batch size"},
          {"y", "output tok/s"},    {"log2_x", true},
          {"formula", "THR-OUT-2"}, {"series", series}};
}

Json Cumulative(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  Json points = Json::array();
  if (!values.empty()) points.push_back({values.front(), 0.0});
  for (size_t i = 0; i < values.size(); ++i) {
    points.push_back({values[i], static_cast<double>(i + 1) / static_cast<double>(values.size())});
  }
  return points;
}

Json LatencyChart(const ReportInput& input) {
  Json series = Json::array();
  int64_t n = 0;
  for (const LadderStep* step : {StepBefore(input.steps), StepAfter(input.steps)}) {
    if (step == nullptr || step->records.empty() ||
        (step == StepAfter(input.steps) && !series.empty() && step == StepBefore(input.steps)))
      continue;
    const double timeout_ms = NumberAt(step->document, "/results/0/timeout_s").value_or(0) * 1000;
    std::vector<double> all;
    bool any_failed = false;
    for (const RequestRecord& record : step->records) {
      const double elapsed = record.done_ms - record.sent_ms;
      if (record.outcome == Outcome::kOk) all.push_back(elapsed / 1000);
      if (record.outcome == Outcome::kFailed) {
        all.push_back(std::max(elapsed, timeout_ms) / 1000);
        any_failed = true;
      }
    }
    n += static_cast<int64_t>(all.size());
    if (!all.empty()) {
      series.push_back(Series(fmt::format("{}, n = {}{}", StepName(*step), all.size(),
                                          any_failed ? ", failures at their timeout (E2EL-4)" : " (E2EL-1)"),
                              "steps", Cumulative(all)));
    }
  }
  if (series.empty()) return nullptr;
  return {{"id", "latency_cdf"},
          {"title", "API latency: share of requests done within a time"},
          {"kind", "xy"},
          {"x", "latency, s"},
          {"y", "share of requests"},
          {"formula", "E2EL-1, E2EL-4"},
          {"n", n},
          {"series", series}};
}

Json OverTimeChart(const LadderStep& step) {
  Json ok = Json::array(), failed = Json::array(), shed = Json::array();
  for (const RequestRecord& record : step.records) {
    const Json point = {record.sent_ms / 1000, (record.done_ms - record.sent_ms) / 1000};
    if (record.outcome == Outcome::kOk) ok.push_back(point);
    if (record.outcome == Outcome::kFailed) failed.push_back(point);
    if (record.outcome == Outcome::kShed) shed.push_back(point);
  }
  Json series = Json::array();
  if (!ok.empty()) series.push_back(Series(fmt::format("succeeded, n = {}", ok.size()), "dots", ok));
  if (!failed.empty())
    series.push_back(Series(fmt::format("failed, n = {}", failed.size()), "crosses", failed));
  if (!shed.empty()) series.push_back(Series(fmt::format("refused, n = {}", shed.size()), "crosses", shed));
  if (series.empty()) return nullptr;
  return {{"id", "over_time_" + (step.id.empty() ? std::string("load") : step.id)},
          {"title", fmt::format("Latency over time: {}", StepName(step))},
          {"kind", "xy"},
          {"x", "time of send, s"},
          {"y", "latency or time to failure, s"},
          {"formula", "E2EL-1"},
          {"series", series}};
}

Json LadderChart(const ReportInput& input) {
  Json bars = Json::array();
  if (const auto best = NumberAt(input.benchmark, BestRow(input.benchmark) + "/output_tps_steady")) {
    bars.push_back({"engine, best batch", *best, FormatNumber(*best) + " tok/s"});
  }
  for (const LadderStep& step : input.steps) {
    const auto tps = NumberAt(step.document, "/results/0/output_tps");
    if (!tps) continue;
    bars.push_back({StepName(step), *tps,
                    fmt::format("{} tok/s, {} ok", FormatNumber(*tps),
                                FormatPercent(NumberAt(step.document, "/results/0/success_ratio")))});
  }
  if (bars.size() < 2) return nullptr;
  return {{"id", "ladder"},
          {"title", "The gap and its closing, one change at a time"},
          {"kind", "bars"},
          {"x", "step"},
          {"y", "output tok/s of successful requests"},
          {"formula", "THR-OUT-1"},
          {"series", Json::array({Series("output tok/s", "bars", bars)})}};
}

Json SlotTimeChart(const ReportInput& input) {
  // The same parts in every row, so that colours mean the same; small ones go together.
  const std::vector<std::pair<const char*, const char*>> groups = {
      {"decode", "computing tokens that counted"},
      {"failed.", "requests that failed"},
      {"queue_", "waiting in the queue"},
      {"server", "served, stages unknown"},
      {"idle", "no request in flight"},
      {"", "all else"}};
  std::vector<Json> points(groups.size(), Json::array());
  int rows = 0;
  for (const LadderStep& step : input.steps) {
    const Json* results = FindJson(step.document, {"results"});
    if (results == nullptr || results->empty()) continue;
    const auto balance = BalanceSlotTime((*results)[0], step.records);
    if (!balance || balance->total_ms <= 0) continue;
    ++rows;
    std::vector<double> sums(groups.size(), 0.0);
    for (const auto& [part, ms] : balance->parts_ms) {
      const std::string cause = part == "own prefill" ? "decode" : part;
      size_t group = 0;
      while (!cause.starts_with(groups[group].first)) ++group;
      sums[group] += std::max(0.0, ms) / balance->total_ms;
    }
    for (size_t i = 0; i < groups.size(); ++i) points[i].push_back({StepName(step), sums[i]});
  }
  if (rows == 0) return nullptr;
  Json series = Json::array();
  for (size_t i = 0; i < groups.size(); ++i) series.push_back(Series(groups[i].second, "stack", points[i]));
  return {{"id", "slot_time"},
          {"title", "Where the clients' time went"},
          {"kind", "stack"},
          {"x", "step"},
          {"y", "share of worker time (concurrency x duration)"},
          {"formula", "ATT-1"},
          {"series", series}};
}

// From the engine at its best to the API: every bar begins where the one above ends.
Json WaterfallChart(const Json& report, const std::string& which) {
  const Json* attribution = FindJson(report, {"attribution", which});
  if (attribution == nullptr || attribution->is_null()) return nullptr;
  Json bars = Json::array();
  double level = 0;
  const auto total = [&](const std::string& name, double tps) {
    bars.push_back({name, tps, FormatNumber(tps) + " tok/s", 0.0});
    level = tps;
  };
  const auto change = [&](const std::string& name, double tps) {
    bars.push_back({name, level + tps,
                    std::fabs(tps) < kNothingTps
                        ? "0 tok/s"
                        : fmt::format("{}{} tok/s", tps < 0 ? "−" : "+", FormatNumber(std::fabs(tps))),
                    level});
    level += tps;
  };
  const auto best = NumberAt(*attribution, "/direct_best_tps");
  const double direct = NumberAt(*attribution, "/direct_tps").value_or(0);
  const std::string in_flight = FormatNumber(NumberAt(*attribution, "/concurrency"));
  if (best) {
    total("engine, best batch", *best);
    change(in_flight + " in flight instead", direct - *best);
  }
  total("engine, " + in_flight + " in flight", direct);
  double others = 0, unattributed = 0;
  for (const Json& cause : (*attribution)["causes"]) {
    const double tps = NumberAt(cause, "/tps").value_or(0);
    const std::string name = StringAt(cause, "/cause").value_or("");
    if (name == "unattributed") {
      unattributed = tps;
    } else if (std::fabs(NumberAt(cause, "/share_ratio").value_or(0)) < 0.01) {
      others += tps;
    } else {
      change(CauseInWords(name), -tps);
    }
  }
  if (others != 0) change("others, below 1 % each", -others);
  change("unattributed", -unattributed);
  total("API", NumberAt(*attribution, "/api_tps").value_or(0));
  return {{"id", "waterfall_" + which},
          {"title",
           fmt::format("Why the gap: from engine to API throughput ({}{})", which,
                       StringAt(*attribution, "/verdict") == "VALID" ? "" : "; void, see V-15, V-16, V-21")},
          {"kind", "waterfall"},
          {"x", "cause"},
          {"y", "output tok/s"},
          {"formula", "ATT-2"},
          {"series", Json::array({Series("tok/s", "bars", bars)})}};
}

// A point per level of a load test with several.
Json ThroughputLatencyChart(const ReportInput& input) {
  Json median = Json::array(), tail = Json::array();
  for (const LadderStep& step : input.steps) {
    const Json* rows = FindJson(step.document, {"results"});
    if (rows == nullptr || rows->size() < 2) continue;
    for (const Json& row : *rows) {
      const std::string metric = StringAt(row, "/mode") == "open" ? "/e2el_from_intended_ms" : "/e2el_ms";
      const auto tps = NumberAt(row, "/output_tps");
      const auto p50 = NumberAt(row, metric + "/p50"), p95 = NumberAt(row, metric + "/p95");
      if (!tps || !p50 || !p95) continue;
      median.push_back({*tps, *p50 / 1000});
      tail.push_back({*tps, *p95 / 1000});
    }
  }
  if (median.size() < 2) return nullptr;
  return {{"id", "throughput_latency"},
          {"title", "Latency against throughput, a point per level of load"},
          {"kind", "xy"},
          {"x", "output tok/s"},
          {"y", "latency, s"},
          {"formula", "THR-OUT-1; E2EL-1, of rates E2EL-2"},
          {"series", Json::array({Series("p50", "dots", median), Series("p95", "crosses", tail)})}};
}

}  // namespace

Json BuildCharts(const ReportInput& input, const Json& report) {
  Json charts = Json::array();
  const auto add = [&](Json chart) {
    if (!chart.is_null()) charts.push_back(std::move(chart));
  };
  if (!input.benchmark.is_null()) add(ScalingChart(input.benchmark));
  add(LatencyChart(input));
  const LadderStep* before = StepBefore(input.steps);
  const LadderStep* after = StepAfter(input.steps);
  if (before != nullptr) add(OverTimeChart(*before));
  if (after != nullptr && after != before) add(OverTimeChart(*after));
  add(LadderChart(input));
  add(WaterfallChart(report, "before"));
  add(WaterfallChart(report, "after"));
  add(ThroughputLatencyChart(input));
  add(SlotTimeChart(input));
  return charts;
}

}  // namespace weir
