#include "perf/report/guidellm_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/version.h"
#include "perf/report/evidence.h"
#include "perf/report/foreign_numbers.h"
#include "perf/statistics/request_metrics.h"

namespace weir {
namespace {

using Values = std::vector<double>;

Json Summary(Values values) {
  if (values.empty()) return nullptr;
  const size_t count = values.size();
  const NumpySummary summary(std::move(values));
  Json percentiles;
  for (const auto& [name, p] : {std::pair{"p001", 0.1},
                                {"p01", 1.0},
                                {"p05", 5.0},
                                {"p10", 10.0},
                                {"p25", 25.0},
                                {"p50", 50.0},
                                {"p75", 75.0},
                                {"p90", 90.0},
                                {"p95", 95.0},
                                {"p99", 99.0},
                                {"p999", 99.9}})
    percentiles[name] = summary.At(p);
  // The value that occurs most often; of several the smallest.
  double mode = summary.sorted.front();
  size_t most = 0;
  for (auto at = summary.sorted.begin(); at != summary.sorted.end();) {
    const auto end = std::upper_bound(at, summary.sorted.end(), *at);
    if (static_cast<size_t>(end - at) > most) {
      most = static_cast<size_t>(end - at);
      mode = *at;
    }
    at = end;
  }
  return {{"mean", summary.mean},
          {"median", summary.At(50)},
          {"mode", mode},
          {"variance", summary.deviation * summary.deviation},
          {"std_dev", summary.deviation},
          {"min", summary.sorted.front()},
          {"max", summary.sorted.back()},
          {"count", count},
          {"total_sum", summary.mean * static_cast<double>(count)},
          {"percentiles", std::move(percentiles)},
          {"pdf", nullptr}};
}

// Of successes; what failed or was refused has no place in a latency there either.
Json Of(Values values) {
  Json summary = Summary(std::move(values));
  if (summary.is_null()) return Json::object();
  return {{"successful", summary}, {"total", summary}};
}

// Seconds since 1970 of "2026-01-31T23:59:58Z".
double EpochOf(const std::string& text) {
  std::tm time{};
  return strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &time) == nullptr ? 0
                                                                       : static_cast<double>(timegm(&time));
}

// The same words twice: what was asked for, and what ran.
Result<std::pair<Json, Json>> ProfileAndStrategy(const Json& document) {
  const auto rate = NumberAt(document, "/results/0/request_rate_per_s");
  if (StringAt(document, "/results/0/mode") != "open") {
    const auto streams = static_cast<int>(NumberAt(document, "/results/0/concurrency").value_or(1));
    return std::pair{Json{{"kind", "concurrent"}, {"streams", {streams}}},
                     Json{{"type_", "concurrent"}, {"streams", streams}}};
  }
  const std::string arrival = StringAt(document, "/results/0/arrival").value_or("");
  if (!rate || (arrival != "constant" && arrival != "poisson"))
    return InvalidArgument(
        fmt::format("--format guidellm has no arrivals like '{}', only constant and poisson", arrival));
  return std::pair{Json{{"kind", arrival}, {"rate", {*rate}}}, Json{{"type_", arrival}, {"rate", *rate}}};
}

Json Media(std::initializer_list<const char*> parts) {
  Json out;
  for (const char* part : parts) {
    for (const char* what : {"input", "output", "total"}) {
      for (const char* how : {"", "_per_second", "_concurrency"})
        out[part][std::string(what) + how] = Json::object();
    }
  }
  return out;
}

}  // namespace

Result<Json> GuidellmResult(const Json& document, std::span<const RequestRecord> records) {
  WEIR_ASSIGN_OR_RETURN(const auto words, ProfileAndStrategy(document));
  const auto& [profile, strategy] = words;
  const std::vector<const RequestRecord*> ended = EndedOfFirstStage(records);
  Values latency_s, chunks, prompts, outputs, totals, ttft, with_first, between, per_s, starts, queued;
  double first_ms = 0, last_ms = 0;
  int64_t ok = 0;
  for (const RequestRecord* record : ended) {
    if (record == ended.front()) first_ms = record->sent_ms;
    last_ms = std::max(last_ms, record->done_ms);
    queued.push_back(ClientQueue(*record) / 1000);
    if (record->outcome != Outcome::kOk) continue;
    ++ok;
    latency_s.push_back(Latency(*record) / 1000);
    chunks.push_back(static_cast<double>(record->chunk_sizes.size()));
    prompts.push_back(record->prompt_tokens);
    outputs.push_back(record->output_tokens);
    totals.push_back(record->prompt_tokens + record->output_tokens);
    if (const auto ms = TimeToFirstToken(*record)) ttft.push_back(*ms);
    if (const auto ms = TimePerOutputTokenWithFirst(*record)) with_first.push_back(*ms);
    if (const auto ms = TimePerOutputToken(*record)) between.push_back(*ms);
  }
  const auto failed = static_cast<int64_t>(ended.size()) - ok;
  const auto cancelled = std::count_if(records.begin(), records.end(), [](const RequestRecord& record) {
    return record.load_stage == 0 && record.outcome == Outcome::kCancelled;
  });
  const Json counts = {
      {"successful", ok}, {"incomplete", cancelled}, {"errored", failed}, {"total", ok + failed + cancelled}};
  // A rate of the whole run, as a distribution of one value.
  const auto rate = [&](const char* pointer) {
    const auto value = NumberAt(document, std::string("/results/0/") + pointer);
    return Of(value ? Values{*value} : Values{});
  };
  const double zero = EpochOf(StringAt(document, "/created_at").value_or(""));
  const double begun = zero + first_ms / 1000, over = zero + last_ms / 1000;
  const NumpySummary residence(latency_s), waits(queued);
  Json metrics;
  metrics["request_totals"] = counts;
  metrics["requests_per_second"] = rate("requests_per_s");
  metrics["request_concurrency"] = rate("little/in_flight_mean");
  metrics["request_latency"] = Of(latency_s);
  metrics["request_streaming_iterations_count"] = Of(chunks);
  metrics["prompt_token_count"] = Of(prompts);
  metrics["output_token_count"] = Of(outputs);
  metrics["total_token_count"] = Of(totals);
  metrics["time_to_first_token_ms"] = Of(ttft);
  metrics["time_to_first_output_token_ms"] = Of(ttft);
  metrics["time_per_output_token_ms"] = Of(with_first);
  metrics["inter_token_latency_ms"] = Of(between);
  metrics["output_tokens_per_second"] = rate("output_tps");
  metrics["tokens_per_second"] = rate("total_tps");
  // Not measured; the tool's own word for that is an empty breakdown.
  for (const char* name : {"time_to_last_round_trip_ms", "avg_round_trip_time_ms", "prompt_tokens_per_second",
                           "output_tokens_per_iteration", "iter_tokens_per_iteration"})
    metrics[name] = Json::object();
  metrics["text"] = Media({"tokens", "words", "characters"});
  metrics["image"] = Media({"tokens", "images", "pixels", "bytes"});
  metrics["video"] = Media({"tokens", "frames", "seconds", "bytes"});
  metrics["audio"] = Media({"tokens", "samples", "seconds", "bytes"});
  metrics["tool_call"] = Media({"tokens", "mixed_tokens", "count"});
  const std::string run = StringAt(document, "/run_id").value_or("");
  const Json backend = {{"kind", "openai_http"},
                        {"target", StringAt(document, "/parameters/url").value_or("")},
                        {"model", StringAt(document, "/model/name").value_or("")}};
  Json benchmark;
  benchmark["type_"] = "generative_benchmark";
  benchmark["config"] = {{"run_id", run},        {"run_index", 0},
                         {"strategy", strategy}, {"constraints", Json::object()},
                         {"profile", profile},   {"requests", Json::object()},
                         {"backend", backend},   {"environment", Json::object()}};
  benchmark["scheduler_state"] = {{"start_time", begun},
                                  {"end_time", over},
                                  {"created_requests", counts["total"]},
                                  {"processed_requests", counts["total"]},
                                  {"successful_requests", ok},
                                  {"errored_requests", failed},
                                  {"cancelled_requests", cancelled}};
  benchmark["scheduler_metrics"] = {{"start_time", begun},
                                    {"request_start_time", begun},
                                    {"measure_start_time", begun},
                                    {"measure_end_time", over},
                                    {"request_end_time", over},
                                    {"end_time", over},
                                    {"requests_made", counts},
                                    {"queued_time_avg", waits.mean},
                                    {"resolve_start_delay_avg", 0.0},
                                    {"resolve_targeted_start_delay_avg", waits.mean},
                                    {"request_start_delay_avg", 0.0},
                                    {"request_targeted_start_delay_avg", waits.mean},
                                    {"request_time_avg", residence.mean},
                                    {"resolve_end_delay_avg", 0.0},
                                    {"resolve_time_avg", residence.mean},
                                    {"finalized_delay_avg", 0.0},
                                    {"processed_delay_avg", 0.0}};
  benchmark["metrics"] = std::move(metrics);
  benchmark["requests"] = Json::object();
  benchmark["start_time"] = begun;
  benchmark["end_time"] = over;
  benchmark["duration"] = over - begun;
  benchmark["warmup_duration"] = benchmark["cooldown_duration"] = 0.0;
  Json out;
  out["metadata"] = {{"version", 2},
                     {"guidellm_version", fmt::format("none: written by weir {}", Version())},
                     {"python_version", "none"},
                     {"platform", StringAt(document, "/environment/os").value_or("")}};
  out["config"]["spec"] = {
      {"backend", backend},
      {"profile", profile},
      {"data", {{{"kind", "json_file"}, {"path", StringAt(document, "/parameters/prompts").value_or("")}}}}};
  out["benchmarks"] = Json::array({std::move(benchmark)});
  return out;
}

}  // namespace weir
