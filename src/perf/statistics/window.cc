#include "perf/statistics/window.h"

#include <algorithm>
#include <cmath>

#include "perf/statistics/distribution.h"
#include "perf/statistics/request_metrics.h"

namespace weir {
namespace {

bool Inside(const Window& window, double at_ms) { return at_ms > window.start_ms && at_ms <= window.end_ms; }

}  // namespace

std::optional<Window> WholeWindow(std::span<const RequestRecord> records) {
  std::optional<Window> window;
  for (const RequestRecord& record : records) {
    if (record.outcome == Outcome::kCancelled) continue;
    if (!window) window = Window{record.sent_ms, record.done_ms};
    window->start_ms = std::min(window->start_ms, record.sent_ms);
    window->end_ms = std::max(window->end_ms, record.done_ms);
  }
  return window;
}

std::optional<Window> SteadyWindowClosed(std::span<const RequestRecord> records, int concurrency) {
  struct Event {
    double at_ms;
    int change;
  };
  std::vector<Event> events;
  for (const RequestRecord& record : records) {
    events.push_back({record.sent_ms, 1});
    events.push_back({record.done_ms, -1});
  }
  // An end and the send that follows it in the same instant must not look like one more in flight.
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return a.at_ms != b.at_ms ? a.at_ms < b.at_ms : a.change < b.change;
  });
  std::optional<Window> window;
  int in_flight = 0;
  for (const Event& event : events) {
    if (in_flight >= concurrency && event.change < 0 && window) window->end_ms = event.at_ms;
    in_flight += event.change;
    if (in_flight >= concurrency && !window) window = Window{event.at_ms, event.at_ms};
  }
  if (window && window->seconds() <= 0) return std::nullopt;
  return window;
}

std::optional<Window> SteadyWindowOpen(std::span<const RequestRecord> records) {
  std::vector<double> latencies = Collect(records, Outcome::kOk, [](const RequestRecord& record) {
    return std::optional<double>(Latency(record));
  });
  if (latencies.empty()) return std::nullopt;
  std::sort(latencies.begin(), latencies.end());
  double first = records[0].intended_ms, last = first;
  for (const RequestRecord& record : records) {
    first = std::min(first, record.intended_ms);
    last = std::max(last, record.intended_ms);
  }
  const double settle =
      std::max(0.1 * (last - first), 2 * Percentile(latencies, 50, PercentileMethod::kNearestRank));
  if (first + settle >= last) return std::nullopt;
  return Window{first + settle, last};
}

int64_t TokensInside(std::span<const RequestRecord> records, const Window& window) {
  int64_t tokens = 0;
  for (const RequestRecord& record : records) {
    if (record.outcome != Outcome::kOk) continue;
    if (record.token_times_ms.empty()) {
      if (Inside(window, record.done_ms)) tokens += record.output_tokens;
      continue;
    }
    for (const double at : record.token_times_ms) tokens += Inside(window, at);
  }
  return tokens;
}

int64_t FillerTokensInside(std::span<const RequestRecord> fillers, const Window& window) {
  int64_t tokens = 0;
  for (const RequestRecord& record : fillers) {
    for (const double at : record.token_times_ms) tokens += Inside(window, at);
  }
  return tokens;
}

int64_t RequestsEndedInside(std::span<const RequestRecord> records, const Window& window) {
  return std::count_if(records.begin(), records.end(), [&](const RequestRecord& record) {
    return record.outcome == Outcome::kOk && Inside(window, record.done_ms);
  });
}

int64_t PromptTokensEndedInside(std::span<const RequestRecord> records, const Window& window) {
  int64_t tokens = 0;
  for (const RequestRecord& record : records) {
    if (record.outcome == Outcome::kOk && Inside(window, record.done_ms)) tokens += record.prompt_tokens;
  }
  return tokens;
}

std::optional<Little> CheckLittle(std::span<const RequestRecord> records, const Window& window,
                                  std::span<const InFlightSample> samples) {
  if (samples.empty() || window.seconds() <= 0) return std::nullopt;
  Little out;
  double area = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    const double from = std::max(samples[i].at_ms, window.start_ms);
    const double to = i + 1 < samples.size() ? std::min(samples[i + 1].at_ms, window.end_ms) : window.end_ms;
    if (to > from) area += (to - from) * samples[i].count;
  }
  out.in_flight_mean = area / (window.end_ms - window.start_ms);
  double residence = 0;
  int64_t arrivals = 0;
  for (const RequestRecord& record : records) {
    const double overlap =
        std::min(record.done_ms, window.end_ms) - std::max(record.sent_ms, window.start_ms);
    if (overlap <= 0) continue;
    residence += overlap;
    ++arrivals;
  }
  if (arrivals == 0 || out.in_flight_mean <= 0) return std::nullopt;
  out.arrivals_per_s = static_cast<double>(arrivals) / window.seconds();
  out.residence_mean_s = residence / 1000 / static_cast<double>(arrivals);
  out.error_ratio =
      std::fabs(out.in_flight_mean - out.arrivals_per_s * out.residence_mean_s) / out.in_flight_mean;
  return out;
}

}  // namespace weir
