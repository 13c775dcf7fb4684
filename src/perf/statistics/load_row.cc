#include "perf/statistics/load_row.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "perf/statistics/backlog.h"
#include "perf/statistics/distribution.h"
#include "perf/statistics/request_metrics.h"

namespace weir {
namespace {

int64_t Count(const LoadRowInput& input, Outcome outcome) {
  return std::count_if(input.records.begin(), input.records.end(),
                       [&](const RequestRecord& record) { return record.outcome == outcome; });
}

Json Ratio(int64_t part, int64_t whole) {
  return whole == 0 ? Json(nullptr) : Json(static_cast<double>(part) / static_cast<double>(whole));
}
Json Rate(int64_t amount, const std::optional<Window>& window) {
  if (!window || window->seconds() <= 0) return nullptr;
  return static_cast<double>(amount) / window->seconds();
}
Json TextOrNull(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json Distribute(const LoadRowInput& input, std::vector<double> values) {
  return ToJson(Summarize(std::move(values), input.percentile));
}

Json Errors(const LoadRowInput& input, int64_t ended) {
  struct Group {
    int64_t count = 0;
    const RequestRecord* example = nullptr;
  };
  std::map<std::tuple<Outcome, std::string, int, std::string>, Group> groups;
  for (const RequestRecord& record : input.records) {
    if (record.outcome == Outcome::kOk || record.outcome == Outcome::kCancelled || !record.error) continue;
    Group& group =
        groups[{record.outcome, record.error->error_class, record.error->http_status, record.error->phase}];
    ++group.count;
    if (group.example == nullptr) group.example = &record;
  }
  Json errors = Json::array();
  for (const auto& [key, group] : groups) {
    const auto& [outcome, error_class, status, phase] = key;
    errors.push_back({{"outcome", OutcomeName(outcome)},
                      {"class", error_class},
                      {"http_status", status == 0 ? Json(nullptr) : Json(status)},
                      {"phase", TextOrNull(phase)},
                      {"count", group.count},
                      {"ratio_of_failed", Ratio(group.count, ended)},
                      {"message", group.example->error->message},
                      {"request_id", group.example->id}});
  }
  return errors;
}

// Most tokens in any whole second of the run.
Json PeakOutputTps(const LoadRowInput& input) {
  std::map<int64_t, int64_t> seconds;
  for (const RequestRecord& record : input.records) {
    if (record.outcome != Outcome::kOk) continue;
    for (const double at : record.token_times_ms) ++seconds[static_cast<int64_t>(std::floor(at / 1000))];
  }
  int64_t peak = 0;
  for (const auto& [second, tokens] : seconds) peak = std::max(peak, tokens);
  return peak == 0 ? Json(nullptr) : Json(peak);
}

Json Chunks(const LoadRowInput& input) {
  int64_t chunks = 0, tokens = 0;
  for (const RequestRecord& record : input.records) {
    if (record.outcome != Outcome::kOk) continue;
    for (const int size : record.chunk_sizes) {
      ++chunks;
      tokens += size;
    }
  }
  return {{"count", chunks},
          {"tokens_per_chunk", Ratio(tokens, chunks)},
          {"peak_output_tps", PeakOutputTps(input)}};
}

Json Goodput(const LoadRowInput& input, const std::optional<Window>& whole, int64_t ended) {
  if (input.slo.empty()) return nullptr;
  int64_t good = 0, tokens = 0;
  for (const RequestRecord& record : input.records) {
    if (!MeetsSlo(record, input.slo, input.from_intended())) continue;
    ++good;
    tokens += record.output_tokens;
  }
  Json slo = Json::object();
  if (input.slo.ttft_ms) slo["ttft_ms"] = *input.slo.ttft_ms;
  if (input.slo.tpot_ms) slo["tpot_ms"] = *input.slo.tpot_ms;
  if (input.slo.e2el_ms) slo["e2el_ms"] = *input.slo.e2el_ms;
  return {{"slo", slo},
          {"requests_per_s", Rate(good, whole)},
          {"ratio", Ratio(good, ended)},
          {"output_tps", Rate(tokens, whole)}};
}

// null where none was allowed.
Json Retries(const LoadRowInput& input) {
  if (input.retries <= 0) return nullptr;
  int64_t tried_again = 0, ok_after = 0, shed = 0, unconnected = 0;
  for (const RequestRecord& record : input.records) {
    tried_again += record.attempt > 1;
    ok_after += record.attempt > 1 && record.outcome == Outcome::kOk;
  }
  for (const RequestRecord& record : input.all_attempts()) {
    shed += record.retried && record.outcome == Outcome::kShed;
    unconnected += record.retried && record.outcome == Outcome::kFailed;
  }
  return {{"allowed", input.retries},
          {"attempts", input.all_attempts().size()},
          {"requests_tried_again", tried_again},
          {"ok_after_retry", ok_after},
          {"retried_shed", shed},
          {"retried_unconnected", unconnected}};
}

// How late the client was; a pause before a retry is none of its doing.
Json ScheduleLag(const LoadRowInput& input) {
  if (input.max_in_flight > 0) return nullptr;
  std::vector<double> lag;
  for (const RequestRecord& record : input.all_attempts()) {
    if (record.attempt == 1 && record.outcome != Outcome::kCancelled) lag.push_back(ClientQueue(record));
  }
  return Distribute(input, std::move(lag));
}

// null in a closed loop, whose number in flight is the client's own choice.
Json BacklogJson(const LoadRowInput& input) {
  if (!input.open_loop) return nullptr;
  const std::optional<Window> window = ArrivalWindow(input.records);
  const std::optional<Backlog> backlog = window ? MeasureBacklog(input.in_flight, *window) : std::nullopt;
  if (!backlog) return nullptr;
  return {{"growth_ratio", backlog->growth_ratio},
          {"requests_per_s", backlog->requests_per_s},
          {"saturated", backlog->is_saturated()}};
}

void AddDistributions(const LoadRowInput& input, Json* row) {
  const auto ok = [&](std::optional<double> (*formula)(const RequestRecord&)) {
    return Distribute(input, Collect(input.records, Outcome::kOk, formula));
  };
  std::vector<double> itl, icl, with_failed, client_queue;
  for (const RequestRecord& record : input.records) {
    if (record.outcome == Outcome::kOk) {
      AppendTokenGaps(record, &itl);
      AppendChunkGaps(record, &icl);
    }
    if (record.outcome == Outcome::kOk || record.outcome == Outcome::kFailed) {
      with_failed.push_back(LatencyWithTimeout(record, input.timeout_s * 1000));
    }
    if (record.outcome != Outcome::kCancelled) client_queue.push_back(ClientQueue(record));
  }
  Json& out = *row;
  out["ttft_ms"] = ok(TimeToFirstToken);
  out["ttft_from_intended_ms"] = ok(TimeToFirstTokenFromIntended);
  out["itl_ms"] = Distribute(input, std::move(itl));
  out["itl_max_ms"] = ok(LargestGap);
  out["icl_ms"] = Distribute(input, std::move(icl));
  out["tpot_ms"] = ok(TimePerOutputToken);
  out["tpot_with_first_ms"] = ok(TimePerOutputTokenWithFirst);
  out["e2el_ms"] = ok([](const RequestRecord& r) { return std::optional<double>(Latency(r)); });
  out["e2el_from_intended_ms"] =
      ok([](const RequestRecord& r) { return std::optional<double>(LatencyFromIntended(r)); });
  out["e2el_with_failed_ms"] = Distribute(input, std::move(with_failed));
  out["queue_ms"] = ok(ServerQueue);
  out["client_queue_ms"] = Distribute(input, std::move(client_queue));
  out["shed_response_ms"] =
      Distribute(input, Collect(input.records, Outcome::kShed,
                                [](const RequestRecord& r) { return std::optional<double>(Latency(r)); }));
}

}  // namespace

std::vector<RequestRecord> LastAttempts(std::span<const RequestRecord> records) {
  std::vector<RequestRecord> last;
  for (const RequestRecord& record : records) {
    if (!record.retried) last.push_back(record);
  }
  return last;
}

Json LoadRow(const LoadRowInput& input) {
  const int64_t ok = Count(input, Outcome::kOk), shed = Count(input, Outcome::kShed);
  const int64_t failed = Count(input, Outcome::kFailed), cancelled = Count(input, Outcome::kCancelled);
  const int64_t ended = ok + shed + failed;
  int64_t prompt_tokens = 0, output_tokens = 0, output_tokens_failed = 0;
  for (const RequestRecord& record : input.records) {
    if (record.outcome == Outcome::kFailed) output_tokens_failed += record.output_tokens;
    if (record.outcome != Outcome::kOk) continue;
    prompt_tokens += record.prompt_tokens;
    output_tokens += record.output_tokens;
  }
  const std::optional<Window> whole = WholeWindow(input.all_attempts());
  const std::optional<Window> steady = input.open_loop
                                           ? SteadyWindowOpen(input.records)
                                           : SteadyWindowClosed(input.all_attempts(), input.concurrency);
  const int64_t steady_tokens = steady ? TokensInside(input.records, *steady) : 0;
  Json row;
  row["load_stage"] = input.load_stage;
  row["mode"] = input.open_loop ? "open" : "closed";
  row["concurrency"] = input.open_loop ? Json(nullptr) : Json(input.concurrency);
  row["request_rate_per_s"] = input.request_rate_per_s ? Json(*input.request_rate_per_s) : Json(nullptr);
  row["arrival"] = TextOrNull(input.open_loop ? input.arrival : "");
  row["burstiness"] = input.open_loop ? Json(input.burstiness) : Json(nullptr);
  row["ramp_up_s"] = input.ramp_up_s;
  row["timeout_s"] = input.timeout_s;
  row["wall_s"] = whole ? Json(whole->seconds()) : Json(nullptr);
  row["window_s"] = steady ? Json(steady->seconds()) : Json(nullptr);
  row["counts"] = {
      {"sent", input.num_sent}, {"ok", ok}, {"shed", shed}, {"failed", failed}, {"cancelled", cancelled}};
  row["success_ratio"] = Ratio(ok, ended);
  row["success_admitted_ratio"] = Ratio(ok, ok + failed);
  row["shed_ratio"] = Ratio(shed, ended);
  row["input_tokens"] = prompt_tokens;
  row["output_tokens"] = output_tokens;
  row["output_tokens_failed"] = output_tokens_failed;
  row["output_tps"] = Rate(output_tokens, whole);
  row["output_tps_steady"] = Rate(steady_tokens, steady);
  row["total_tps"] = Rate(prompt_tokens + output_tokens, whole);
  row["total_tps_steady"] =
      Rate(steady_tokens + (steady ? PromptTokensEndedInside(input.records, *steady) : 0), steady);
  row["requests_per_s"] = Rate(ok, whole);
  row["requests_per_s_steady"] = Rate(steady ? RequestsEndedInside(input.records, *steady) : 0, steady);
  row["goodput"] = Goodput(input, whole, ended);
  AddDistributions(input, &row);
  row["errors"] = Errors(input, shed + failed);
  row["chunks"] = Chunks(input);
  row["client"] = {{"cpu_ratio", input.client.cpu_ratio ? Json(*input.client.cpu_ratio) : Json(nullptr)},
                   {"loop_lag_ms", Distribute(input, input.client.loop_lag_ms)},
                   {"schedule_lag_ms", ScheduleLag(input)}};
  row["server"] = input.server;
  const std::optional<Little> little =
      steady ? CheckLittle(input.all_attempts(), *steady, input.in_flight) : std::nullopt;
  row["little"] = little ? Json{{"in_flight_mean", little->in_flight_mean},
                                {"arrivals_per_s", little->arrivals_per_s},
                                {"residence_mean_s", little->residence_mean_s},
                                {"error_ratio", little->error_ratio}}
                         : Json(nullptr);
  row["retries"] = Retries(input);
  row["backlog"] = BacklogJson(input);
  row["attribution"] = nullptr;
  return row;
}

}  // namespace weir
