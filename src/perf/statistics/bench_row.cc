#include "perf/statistics/bench_row.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "perf/statistics/distribution.h"
#include "perf/statistics/prompt_checks.h"
#include "perf/statistics/request_metrics.h"
#include "perf/statistics/stage_causes.h"

namespace weir {
namespace {

int64_t OkTokens(std::span<const RequestRecord> records) {
  int64_t tokens = 0;
  for (const RequestRecord& record : records) {
    if (record.outcome == Outcome::kOk) tokens += record.output_tokens;
  }
  return tokens;
}

Json MeanOrNull(const std::vector<double>& values) {
  if (values.empty()) return nullptr;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Json IntervalOrNull(const std::vector<double>& values) {
  const auto interval = ConfidenceInterval95(values);
  return interval ? Json::array({interval->low, interval->high}) : Json(nullptr);
}

std::optional<double> LatencyOf(const RequestRecord& record) { return Latency(record); }

bool IsSteady(const BenchRun& run, const StepSample& step) {
  return !run.steady || (step.started_ms >= run.steady->start_ms && step.ended_ms <= run.steady->end_ms);
}

// Sums over the steps of the steady windows.
struct StepSums {
  int64_t count = 0, decode_rows = 0, prefill_tokens = 0;
  double total = 0;
  double kv_read = 0;        // all steps
  double context_sum = 0;    // decode-only steps: tokens read
  int64_t context_rows = 0;  // and the rows that read them
  StepBreakdown breakdown;
};

StepSums SumSteps(const BenchRowInput& input) {
  StepSums sums;
  sums.breakdown = StepBreakdown(input.segment_names);
  for (const BenchRun& run : input.runs) {
    for (const StepSample& step : run.steps) {
      if (!IsSteady(run, step)) continue;
      sums.breakdown.Add(step);
      ++sums.count;
      sums.total += step.ms();
      sums.kv_read += static_cast<double>(step.kv_tokens_read);
      sums.decode_rows += step.decode_rows;
      sums.prefill_tokens += step.prefill_tokens;
      if (step.prefill_tokens > 0) continue;
      sums.context_sum += static_cast<double>(step.kv_tokens_read);
      sums.context_rows += step.decode_rows;
    }
  }
  return sums;
}

Json UtilizationJson(const BenchRowInput& input, const StepSums& s) {
  double cpu = 0, wall = 0;
  for (const BenchRun& run : input.runs) {
    cpu += run.cpu_s;
    wall += run.wall_s;
  }
  Json out = {{"cpu_ratio", wall > 0 ? Json(cpu / (wall * input.threads)) : Json(nullptr)},
              {"spin_ratio", nullptr},
              {"gpu_ratio", nullptr},
              {"gpu_ratio_range", nullptr},
              {"memory_bandwidth_ratio", nullptr},
              {"compute_ratio", nullptr}};
  if (s.total <= 0) return out;
  const double seconds = s.total / 1000;
  if (input.limit.read_bandwidth_bytes_per_s > 0) {
    const double bytes =
        static_cast<double>(s.count) * input.limit.weight_bytes + s.kv_read * input.limit.kv_bytes_per_token;
    out["memory_bandwidth_ratio"] =
        bytes / seconds / ReadRate(input.limit, bytes / static_cast<double>(std::max<int64_t>(1, s.count)));
  }
  double busy = 0;
  bool known = !input.limit.work.empty();
  for (const WorkPerToken& work : input.limit.work) {
    if (work.macs <= 0) continue;
    known = known && work.peak_mac_per_s > 0;
    if (!known) break;
    busy += static_cast<double>(s.decode_rows) * work.macs / work.peak_mac_per_s +
            static_cast<double>(s.prefill_tokens) * (work.macs - work.logit_row_macs) / work.prompt_peak();
  }
  if (known) out["compute_ratio"] = busy / seconds;
  return out;
}

Json LimitJson(const BenchRowInput& input, const StepSums& s, const Json& headline) {
  if (s.context_rows == 0) return nullptr;
  const double context = s.context_sum / static_cast<double>(s.context_rows);
  const std::optional<Limit> limit = DecodeLimit(input.limit, input.batch_size, context);
  if (!limit) return nullptr;
  const auto measured = JsonNumber(&headline);
  return {{"output_tps", limit->tokens_per_s},
          {"bound", limit->bound},
          {"bytes_per_step", limit->bytes_per_step},
          {"mean_context_tokens", context},
          {"share_ratio", measured ? Json(*measured / limit->tokens_per_s) : Json(nullptr)}};
}

// Values of every repeat, by metric.
struct PerRun {
  std::vector<double> whole, headline, total_steady, requests, requests_steady;
  double wall_s = 0, window_s = 0;
};

PerRun CollectRuns(const BenchRowInput& input, Json* runs) {
  PerRun out;
  for (const BenchRun& run : input.runs) {
    const auto whole_tps = WholeOutputTps(run), headline = HeadlineOutputTps(run, input.is_static);
    const auto latency = Summarize(Collect(run.measured, Outcome::kOk, LatencyOf));
    if (whole_tps) out.whole.push_back(*whole_tps);
    if (headline) out.headline.push_back(*headline);
    const auto whole = WholeWindow(run.measured);
    if (whole && whole->seconds() > 0) {
      out.wall_s += whole->seconds();
      out.requests.push_back(static_cast<double>(RequestsEndedInside(run.measured, *whole)) /
                             whole->seconds());
    }
    if (run.steady && run.steady->seconds() > 0) {
      const double seconds = run.steady->seconds();
      out.window_s += seconds;
      const auto both = [&](auto count) {
        return static_cast<double>(count(run.measured, *run.steady) + count(run.fillers, *run.steady)) /
               seconds;
      };
      const double prompts = both(PromptTokensEndedInside);
      if (headline) out.total_steady.push_back(*headline + prompts);
      out.requests_steady.push_back(both(RequestsEndedInside));
    }
    runs->push_back({{"run_id", run.run_id},
                     {"output_tps", whole_tps ? Json(*whole_tps) : Json(nullptr)},
                     {"output_tps_steady", headline ? Json(*headline) : Json(nullptr)},
                     {"e2el_ms_p50", latency ? Json(latency->p50) : Json(nullptr)}});
  }
  return out;
}

}  // namespace

std::optional<double> WholeOutputTps(const BenchRun& run) {
  const std::optional<Window> whole = WholeWindow(run.measured);
  if (!whole || whole->seconds() <= 0) return std::nullopt;
  return static_cast<double>(OkTokens(run.measured)) / whole->seconds();
}

std::optional<double> HeadlineOutputTps(const BenchRun& run, bool is_static) {
  if (is_static) {
    if (run.batch_seconds <= 0) return std::nullopt;
    return static_cast<double>(OkTokens(run.measured) + OkTokens(run.fillers)) / run.batch_seconds;
  }
  if (!run.steady || run.steady->seconds() <= 0) return std::nullopt;
  return static_cast<double>(TokensInside(run.measured, *run.steady) +
                             FillerTokensInside(run.fillers, *run.steady)) /
         run.steady->seconds();
}

Json BenchRow(const BenchRowInput& input) {
  std::vector<RequestRecord> all;
  int64_t num_filler = 0, num_ok = 0, input_tokens = 0, cached_tokens = 0;
  for (const BenchRun& run : input.runs) {
    all.insert(all.end(), run.measured.begin(), run.measured.end());
    num_filler += static_cast<int64_t>(run.fillers.size());
  }
  for (const RequestRecord& record : all) {
    num_ok += record.outcome == Outcome::kOk;
    input_tokens += record.prompt_tokens;
    cached_tokens += record.cached_tokens.value_or(0);
  }
  Json runs = Json::array();
  const PerRun per_run = CollectRuns(input, &runs);
  Json row;
  row["batch_size"] = input.batch_size;
  row["batching"] = input.is_static ? "static" : "continuous";
  row["tail"] = input.fill ? "fill" : "drain";
  row["repeats"] = input.runs.size();
  row["num_requests"] = all.size();
  row["num_filler"] = num_filler;
  row["num_ok"] = num_ok;
  row["wall_s"] = per_run.wall_s;
  row["window_s"] = per_run.window_s > 0 ? Json(per_run.window_s) : Json(nullptr);
  row["input_tokens"] = input_tokens;
  row["cached_tokens"] = cached_tokens;
  row["output_tokens"] = OkTokens(all);
  row["output_tps"] = MeanOrNull(per_run.whole);
  row["output_tps_steady"] = MeanOrNull(per_run.headline);
  row["total_tps_steady"] = MeanOrNull(per_run.total_steady);
  row["requests_per_s"] = MeanOrNull(per_run.requests);
  row["requests_per_s_steady"] = MeanOrNull(per_run.requests_steady);
  row["success_ratio"] =
      all.empty() ? Json(nullptr) : Json(static_cast<double>(num_ok) / static_cast<double>(all.size()));
  row["ci95"] = {{"output_tps", IntervalOrNull(per_run.whole)},
                 {"output_tps_steady", IntervalOrNull(per_run.headline)}};
  row["runs"] = std::move(runs);
  std::vector<double> gaps;
  for (const RequestRecord& record : all) {
    if (record.outcome == Outcome::kOk) AppendTokenGaps(record, &gaps);
  }
  row["ttft_ms"] = ToJson(Summarize(Collect(all, Outcome::kOk, TimeToFirstToken)));
  row["itl_ms"] = ToJson(Summarize(std::move(gaps)));
  row["tpot_ms"] = ToJson(Summarize(Collect(all, Outcome::kOk, TimePerOutputToken)));
  row["e2el_ms"] = ToJson(Summarize(Collect(all, Outcome::kOk, LatencyOf)));
  const StepSums steps = SumSteps(input);
  row["step"] = steps.breakdown.ToJson();
  row["utilization"] = UtilizationJson(input, steps);
  row["memory"] = input.memory;
  // A batch that drains leaves slots empty, as a load test's end does.
  row["slot"] = SlotJson(all, input.fill ? 0 : input.batch_size * per_run.wall_s * 1000);
  row["limit"] = LimitJson(input, steps, row["output_tps_steady"]);
  return row;
}

void AddProfilingCheck(const Json& step, const std::string& prefix, Validity* validity) {
  const auto cost = JsonNumber(FindJson(step, {"profiling_cost_ratio"}));
  if (!cost) return;
  validity->AddAbove(
      "V-22", "step", *cost, 0.01, 0.03,
      prefix + fmt::format("recording a step's segments takes {:.1f} % of its time, limit 3 %", *cost * 100));
}

void CheckBenchRow(const BenchRowInput& input, const Json& row, Validity* validity) {
  const std::string batch = fmt::format("batch {}: ", input.batch_size);
  std::vector<double> headlines;
  std::vector<RequestRecord> all;
  int64_t failed = 0, ok = 0;
  for (const BenchRun& run : input.runs) {
    if (const auto tps = HeadlineOutputTps(run, input.is_static)) headlines.push_back(*tps);
    for (const RequestRecord& record : run.measured) {
      failed += record.outcome == Outcome::kFailed;
      ok += record.outcome == Outcome::kOk;
    }
  }
  if (headlines.size() >= 3) {
    const size_t third = headlines.size() / 3;
    const double first = std::accumulate(headlines.begin(), headlines.begin() + third, 0.0);
    const double last = std::accumulate(headlines.end() - third, headlines.end(), 0.0);
    const double drift = std::fabs(first - last) / std::max(first, last);
    validity->AddAbove(
        "V-05", "run", drift, 0.10, 0.25,
        batch + fmt::format("drift: first and last repeats differ by {:.0f} %, limit 25 %", drift * 100));
  }
  validity->AddPercentileCounts(ok, batch);
  if (const auto share = JsonNumber(FindJson(row, {"limit", "share_ratio"}))) {
    validity->AddAbove("V-14", "limit", *share, 1.0, 1.05,
                       batch + fmt::format("share of the physical limit is {:.0f} %", *share * 100));
  }
  AddProfilingCheck(row["step"], batch, validity);
  for (const BenchRun& run : input.runs) all.insert(all.end(), run.measured.begin(), run.measured.end());
  CheckPrompts(all, input.expected_cache, batch, validity);
  if (failed > 0) {
    validity->AddAbove("V-17", "latency", static_cast<double>(failed), 0, std::nullopt,
                       batch + fmt::format("{} requests failed", failed));
  }
  const auto window = JsonNumber(FindJson(row, {"window_s"})), wall = JsonNumber(FindJson(row, {"wall_s"}));
  if (!input.is_static && wall && *wall > 0) {
    const double share = window.value_or(0) / *wall;
    validity->AddBelow("V-18", "steady", share, 0.5, 0.2,
                       batch + fmt::format("steady window is {:.0f} % of the run, limit 20 %", share * 100));
  }
}

}  // namespace weir
