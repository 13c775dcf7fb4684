// The time spans that throughput is counted over, and what happened inside them.
//
// Units     ms from the run's start; rates per second
// Source    docs/MEASUREMENT.md, "Windows"
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "perf/recorder/request_record.h"

namespace weir {

struct Window {
  double start_ms = 0, end_ms = 0;
  double seconds() const { return (end_ms - start_ms) / 1000; }
};

// WIN-1: first send to last end of the measured requests. Empty when nothing was measured.
std::optional<Window> WholeWindow(std::span<const RequestRecord> records);
// WIN-2 of a closed loop: from the first moment with `concurrency` in flight until it stays below. Empty when it was never
// reached.
std::optional<Window> SteadyWindowClosed(std::span<const RequestRecord> records, int concurrency);
// WIN-2 of an open loop: after max(10 % of the duration, 2 x median E2EL-1), until the last arrival.
std::optional<Window> SteadyWindowOpen(std::span<const RequestRecord> records);

// Output tokens of successful requests that arrived inside the window; without a stream they arrive with the end.
int64_t TokensInside(std::span<const RequestRecord> records, const Window& window);
// Tokens of fillers count however the filler ended: the run's own end cuts the last ones off.
int64_t FillerTokensInside(std::span<const RequestRecord> fillers, const Window& window);
// Successful requests that ended inside.
int64_t RequestsEndedInside(std::span<const RequestRecord> records, const Window& window);
int64_t PromptTokensEndedInside(std::span<const RequestRecord> records, const Window& window);

// Driver's own count of requests in flight, from `at_ms` on.
struct InFlightSample {
  double at_ms = 0;
  int count = 0;
};

// LITTLE-1: the driver's count against what the records say; they agree unless records are lost or stamps are wrong.
struct Little {
  double in_flight_mean = 0;    // N, from the driver's count
  double arrivals_per_s = 0;    // lambda, from the records
  double residence_mean_s = 0;  // W, the part inside the window
  double error_ratio = 0;
};
std::optional<Little> CheckLittle(std::span<const RequestRecord> records, const Window& window,
                                  std::span<const InFlightSample> samples);

}  // namespace weir
