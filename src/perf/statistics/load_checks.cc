#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "perf/statistics/backlog.h"
#include "perf/statistics/distribution.h"
#include "perf/statistics/load_row.h"
#include "perf/statistics/request_metrics.h"

namespace weir {
namespace {

std::optional<double> At(const Json& row, std::initializer_list<std::string_view> path) {
  return JsonNumber(FindJson(row, path));
}

void CheckClient(const LoadRowInput& input, const Json& row, Validity* validity) {
  if (input.client.cpu_ratio) {
    validity->AddAbove("V-01", "run", *input.client.cpu_ratio, 0.75, 0.90,
                       fmt::format("client-bound: busiest client thread {:.0f} %, limit 90 %",
                                   *input.client.cpu_ratio * 100));
  }
  if (const auto lag = At(row, {"client", "loop_lag_ms", "p99"})) {
    validity->AddAbove("V-02", "itl", *lag, 5, 20,
                       fmt::format("event loop of the client late by {:.1f} ms at p99, limit 20 ms", *lag));
  }
  const auto median = At(row, {"client", "schedule_lag_ms", "p50"});
  const auto p99 = At(row, {"client", "schedule_lag_ms", "p99"});
  if (median && p99) {
    // The tighter of both limits decides: as a share of its own INVALID limit.
    validity->AddAbove(
        "V-03", "latency", std::max(*median / 10, *p99 / 100), 0.1, 1.0,
        fmt::format("sends late by {:.2f} ms at the median and {:.1f} ms at p99, limits 10 and 100 ms",
                    *median, *p99));
  }
}

// V-05: the first and the last third of the steady window.
void CheckDrift(const LoadRowInput& input, Validity* validity) {
  const bool clean =
      std::all_of(input.all_attempts().begin(), input.all_attempts().end(), [](const RequestRecord& record) {
        return record.outcome == Outcome::kOk || record.outcome == Outcome::kCancelled;
      });
  if (!clean || input.open_loop) return;  // an open loop's throughput follows its arrivals
  const auto steady = SteadyWindowClosed(input.all_attempts(), input.concurrency);
  const size_t rounds = input.records.size() / static_cast<size_t>(std::max(1, input.concurrency));
  if (!steady || rounds < 6) return;  // a third must hold two whole rounds, else it measures their edges
  const double third = (steady->end_ms - steady->start_ms) / 3;
  const double first =
      static_cast<double>(TokensInside(input.records, {steady->start_ms, steady->start_ms + third}));
  const double last =
      static_cast<double>(TokensInside(input.records, {steady->end_ms - third, steady->end_ms}));
  if (first + last <= 0) return;
  const double drift = std::fabs(first - last) / std::max(first, last);
  validity->AddAbove(
      "V-05", "run", drift, 0.10, 0.25,
      fmt::format("drift: first and last third of the steady window differ by {:.0f} %, limit 25 %",
                  drift * 100));
}

void CheckFirstRequest(const LoadRowInput& input, Validity* validity) {
  std::vector<const RequestRecord*> ok;
  for (const RequestRecord& record : input.records) {
    if (record.outcome == Outcome::kOk && record.first_token_ms) ok.push_back(&record);
  }
  std::sort(ok.begin(), ok.end(),
            [](const RequestRecord* a, const RequestRecord* b) { return a->sent_ms < b->sent_ms; });
  if (ok.size() < 11) return;
  std::vector<double> next;
  for (size_t i = 1; i <= 10; ++i) next.push_back(*TimeToFirstToken(*ok[i]));
  std::sort(next.begin(), next.end());
  const double median = Percentile(next, 50, PercentileMethod::kNearestRank);
  if (median <= 0) return;
  const double ratio = *TimeToFirstToken(*ok[0]) / median;
  validity->AddAbove(
      "V-11", "latency", ratio, 1.5, 5,
      fmt::format("first request's TTFT is {:.1f} times the next ten's median, limit 5", ratio));
}

void CheckCounts(const LoadRowInput& input, const Json& row, Validity* validity) {
  int64_t ok = 0, failed = 0, ended = 0, differ = 0;
  int64_t retries = 0;
  for (const RequestRecord& record : input.records) {
    ++ended;
    retries += record.attempt > 1;
    failed += record.outcome == Outcome::kFailed;
    if (record.outcome != Outcome::kOk) continue;
    ++ok;
    const bool by_local = record.output_tokens_local && *record.output_tokens_local != record.output_tokens;
    const bool natural = input.ignore_eos && record.output_tokens != record.max_tokens;
    differ += by_local || natural;
  }
  if (ok > 0) {
    const double share = static_cast<double>(differ) / static_cast<double>(ok);
    // A foreign server that ignores ignore_eos stops early; that is no wrong count, so it only warns.
    validity->AddAbove(
        "V-08", "run", share, 0.005, std::nullopt,
        fmt::format("token-count: {} of {} answers have another length than asked for", differ, ok));
    validity->AddPercentileCounts(ok, "");
  }
  validity->AddAbove("V-17", "latency", static_cast<double>(failed), 0, std::nullopt,
                     fmt::format("{} requests failed: percentiles of successes describe survivors", failed));
  if (retries > 0)
    validity->AddAbove(
        "V-19", "run", static_cast<double>(retries), 0, std::nullopt,
        fmt::format("{} of {} requests were tried again: the server saw {} attempts, and latency "
                    "counts from the first intended send",
                    retries, input.records.size(), input.all_attempts().size()));
  const int64_t lost = input.num_sent - ended;
  validity->AddAbove("V-20", "run", static_cast<double>(lost), std::nullopt, 0,
                     fmt::format("{} requests have no outcome", lost));
  const auto window = At(row, {"window_s"}), wall = At(row, {"wall_s"});
  if (wall && *wall > 0) {
    const double share = window.value_or(0) / *wall;
    validity->AddBelow("V-18", "steady", share, 0.5, 0.2,
                       fmt::format("steady window is {:.0f} % of the run, limit 20 %", share * 100));
  }
}

}  // namespace

void CheckLoadRow(const LoadRowInput& input, const Json& row, Validity* validity) {
  CheckClient(input, row, validity);
  if (const auto error = At(row, {"little", "error_ratio"})) {
    validity->AddAbove(
        "V-04", "run", *error, 0.02, 0.05,
        fmt::format("little: requests in flight and records disagree by {:.1f} %, limit 5 %", *error * 100));
  }
  CheckDrift(input, validity);
  if (const auto growth = At(row, {"backlog", "growth_ratio"})) {
    validity->AddAbove("V-06", "latency", *growth, 0.20, Backlog::kSaturated,
                       fmt::format("saturated: requests in flight grow by {:.0f} % of their mean, limit 50 %",
                                   *growth * 100));
  }
  CheckPrompts(input.records, input.cache, "", validity);
  CheckFirstRequest(input, validity);
  if (const auto size = At(row, {"chunks", "tokens_per_chunk"})) {
    validity->AddAbove("V-12", "itl", *size, 1.05, 2,
                       fmt::format("{:.2f} tokens in a chunk, limit 2", *size));
  }
  CheckCounts(input, row, validity);
}

}  // namespace weir
