#include "perf/report/aiperf_format.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "perf/report/evidence.h"
#include "perf/report/foreign_numbers.h"
#include "perf/statistics/request_metrics.h"

namespace weir {
namespace {

Json Metric(const char* unit, std::vector<double> values) {
  if (values.empty()) return nullptr;
  const size_t count = values.size();
  const NumpySummary summary(std::move(values));
  Json out = {
      {"unit", unit}, {"avg", summary.mean}, {"min", summary.sorted.front()}, {"max", summary.sorted.back()}};
  for (const int p : {1, 5, 10, 25, 50, 75, 90, 95, 99}) out[fmt::format("p{}", p)] = summary.At(p);
  out["std"] = summary.deviation;
  out["count"] = count;
  return out;
}

Json Derived(const char* unit, const Json& document, const std::string& pointer) {
  const auto value = NumberAt(document, pointer);
  return value ? Json{{"unit", unit}, {"avg", *value}} : Json(nullptr);
}

}  // namespace

Json AiperfResult(const Json& document, std::span<const RequestRecord> records) {
  std::vector<double> latency, first, between, tokens, prompts;
  for (const RequestRecord* record : EndedOfFirstStage(records)) {
    if (record->outcome != Outcome::kOk) continue;
    latency.push_back(Latency(*record));
    if (const auto ms = TimeToFirstToken(*record)) first.push_back(*ms);
    if (const auto ms = TimePerOutputToken(*record)) between.push_back(*ms);
    tokens.push_back(record->output_tokens);
    prompts.push_back(record->prompt_tokens);
  }
  Json errors = Json::array();
  if (const Json* list = FindJson(document["results"][0], {"errors"}); list != nullptr && list->is_array()) {
    for (const Json& error : *list) {
      const auto status = NumberAt(error, "/http_status");
      errors.push_back({{"error_details",
                         {{"code", status ? Json(static_cast<int>(*status)) : Json(nullptr)},
                          {"type", StringAt(error, "/class").value_or("")},
                          {"message", StringAt(error, "/message").value_or("")}}},
                        {"count", static_cast<int64_t>(NumberAt(error, "/count").value_or(0))}});
    }
  }
  Json out;
  out["schema_version"] = "1.0";
  out["aiperf_version"] = nullptr;
  out["benchmark_id"] = StringAt(document, "/run_id").value_or("");
  const std::pair<const char*, Json> metrics[] = {
      {"request_latency", Metric("ms", std::move(latency))},
      {"time_to_first_token", Metric("ms", std::move(first))},
      {"inter_token_latency", Metric("ms", std::move(between))},
      {"output_sequence_length", Metric("tokens", std::move(tokens))},
      {"input_sequence_length", Metric("tokens", std::move(prompts))},
      {"request_throughput", Derived("requests/sec", document, "/results/0/requests_per_s")},
      {"output_token_throughput", Derived("tokens/sec", document, "/results/0/output_tps")},
      {"request_count", Derived("requests", document, "/results/0/counts/ok")}};
  for (const auto& [name, metric] : metrics) {
    if (!metric.is_null()) out[name] = metric;  // what was not measured is left out there
  }
  out["was_cancelled"] = FindJson(document, {"interrupted"}) != nullptr;
  out["error_summary"] = std::move(errors);
  out["start_time"] = StringAt(document, "/created_at").value_or("");
  return out;
}

}  // namespace weir
