#include "perf/report/vllm_format.h"

#include <fmt/format.h>

#include <numeric>
#include <string>
#include <vector>

#include "perf/report/evidence.h"
#include "perf/report/foreign_numbers.h"
#include "perf/statistics/request_metrics.h"

namespace weir {
namespace {

constexpr double kPercentiles[] = {50, 90, 95, 99};

void AddMetric(const std::string& name, std::vector<double> ms, Json* out) {
  const NumpySummary summary(std::move(ms));
  (*out)["mean_" + name + "_ms"] = summary.mean;
  (*out)["median_" + name + "_ms"] = summary.At(50);
  (*out)["std_" + name + "_ms"] = summary.deviation;
  for (const double p : kPercentiles) (*out)[fmt::format("p{:.0f}_{}_ms", p, name)] = summary.At(p);
}

// Gaps between the chunks of one request, in seconds.
Json ChunkGaps(const RequestRecord& record) {
  std::vector<double> gaps;
  AppendChunkGaps(record, &gaps);
  for (double& gap : gaps) gap /= 1000;
  return gaps;
}

std::string Date(const Json& document) {
  // 20260131-235959, from 2026-01-31T23:59:59Z
  std::string out;
  for (const char c : StringAt(document, "/created_at").value_or("").substr(0, 19)) {
    if (c == 'T') out += '-';
    if (c >= '0' && c <= '9') out += c;
  }
  return out;
}

// Zero where vLLM has zero: there no throughput is ever absent.
double NumberOr0(const Json& document, const std::string& pointer) {
  return NumberAt(document, pointer).value_or(0);
}

}  // namespace

Json VllmServeResult(const Json& document, std::span<const RequestRecord> records) {
  const std::string row = "/results/0";
  const bool open = StringAt(document, row + "/mode") == "open";
  const std::string model = StringAt(document, "/model/name").value_or("");
  const std::vector<const RequestRecord*> ended = EndedOfFirstStage(records);
  Json out;
  out["date"] = Date(document);
  out["endpoint_type"] = "openai-chat";
  out["backend"] = "openai-chat";
  out["label"] = nullptr;
  out["model_id"] = model;
  out["tokenizer_id"] = model;
  out["num_prompts"] = ended.size();
  const auto rate = NumberAt(document, row + "/request_rate_per_s");
  out["request_rate"] = open && rate ? Json(*rate) : Json("inf");
  out["burstiness"] = open ? NumberOr0(document, row + "/burstiness") : 1.0;
  const auto most = NumberAt(document, open ? "/parameters/max_in_flight" : row + "/concurrency");
  out["max_concurrency"] = most ? Json(static_cast<int64_t>(*most)) : Json(nullptr);
  out["duration"] = NumberOr0(document, row + "/wall_s");
  out["completed"] = static_cast<int64_t>(NumberOr0(document, row + "/counts/ok"));
  out["failed"] = static_cast<int64_t>(NumberOr0(document, row + "/counts/failed") +
                                       NumberOr0(document, row + "/counts/shed"));
  out["total_input_tokens"] = static_cast<int64_t>(NumberOr0(document, row + "/input_tokens"));
  out["total_output_tokens"] = static_cast<int64_t>(NumberOr0(document, row + "/output_tokens"));
  out["request_throughput"] = NumberOr0(document, row + "/requests_per_s");
  out["request_goodput"] = NumberOrNull(NumberAt(document, row + "/goodput/requests_per_s"));
  out["output_throughput"] = NumberOr0(document, row + "/output_tps");
  out["total_token_throughput"] = NumberOr0(document, row + "/total_tps");
  Json input_lens = Json::array(), output_lens = Json::array(), ttfts = Json::array(), itls = Json::array(),
       latencies = Json::array(), starts = Json::array(), queues = Json::array(), errors = Json::array();
  std::vector<double> ttft, tpot, itl, e2el, queue, with_queue;
  for (const RequestRecord* record : ended) {
    const bool ok = record->outcome == Outcome::kOk;
    const auto first = TimeToFirstToken(*record);
    const double latency = LatencyToLastToken(*record).value_or(Latency(*record));
    input_lens.push_back(record->prompt_tokens);
    output_lens.push_back(ok ? record->output_tokens : 0);
    ttfts.push_back(ok ? first.value_or(0) / 1000 : 0.0);
    itls.push_back(ok ? ChunkGaps(*record) : Json::array());
    latencies.push_back(ok ? latency / 1000 : 0.0);
    starts.push_back(record->sent_ms / 1000);
    queues.push_back(ClientQueue(*record) / 1000);
    errors.push_back(record->error ? record->error->error_class + ": " + record->error->message : "");
    if (!ok) continue;
    if (first) ttft.push_back(*first);
    if (const auto per_token = TimePerOutputToken(*record)) tpot.push_back(*per_token);
    AppendChunkGaps(*record, &itl);
    e2el.push_back(latency);
    queue.push_back(ClientQueue(*record));
    with_queue.push_back(latency + ClientQueue(*record));
  }
  out["input_lens"] = std::move(input_lens);
  out["output_lens"] = std::move(output_lens);
  out["ttfts"] = std::move(ttfts);
  out["itls"] = std::move(itls);
  out["latencies"] = std::move(latencies);
  out["start_times"] = std::move(starts);
  out["queue_times"] = std::move(queues);
  out["errors"] = std::move(errors);
  out["max_output_tokens_per_s"] = NumberOr0(document, row + "/chunks/peak_output_tps");
  out["max_concurrent_requests"] = MostInFlight(records);
  out["rtfx"] = 0.0;
  AddMetric("ttft", std::move(ttft), &out);
  AddMetric("tpot", std::move(tpot), &out);
  AddMetric("itl", std::move(itl), &out);
  AddMetric("e2el", std::move(e2el), &out);
  if (most) {
    AddMetric("client_queue_time", std::move(queue), &out);
    if (open) AddMetric("e2el_including_client_queue", std::move(with_queue), &out);
  }
  return out;
}

Json VllmDirectResult(const Json& document, std::span<const RequestRecord> records) {
  const std::string row = BestRow(document);
  const double batch = NumberOr0(document, row + "/batch_size");
  std::vector<double> seconds;
  double tokens = 0;
  for (const RequestRecord& record : records) {
    if (record.outcome != Outcome::kOk || !record.id.starts_with(fmt::format("b{:.0f}-", batch))) continue;
    seconds.push_back(Latency(record) / 1000);
    tokens += record.prompt_tokens + record.output_tokens;
  }
  const NumpySummary summary(seconds);
  Json out;
  out["model_id"] = StringAt(document, "/model/name").value_or("");
  out["avg_latency"] = summary.mean;
  out["std_latency"] = summary.deviation;
  out["latencies"] = seconds;
  for (const int p : {10, 25, 50, 75, 90, 99}) out["percentiles"][std::to_string(p)] = summary.At(p);
  out["elapsed_time"] = NumberOr0(document, row + "/wall_s");
  out["num_requests"] = seconds.size();
  out["total_num_tokens"] = static_cast<int64_t>(tokens);
  out["requests_per_second"] = NumberOr0(document, row + "/requests_per_s");
  const double elapsed = NumberOr0(document, row + "/wall_s");
  out["tokens_per_second"] = elapsed > 0 ? tokens / elapsed : 0.0;
  return out;
}

}  // namespace weir
