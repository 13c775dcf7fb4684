// Does the number in flight of an open loop grow, so that no latency measured in it would last?
//
// Units     ms from the run's start; requests per second
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Run validity verdict", V-06
#pragma once

#include <optional>
#include <span>

#include "perf/statistics/window.h"

namespace weir {

struct Backlog {
  double growth_ratio =
      0;  // what the trend adds over the window, of the mean in flight; 0 unless significant
  double requests_per_s = 0;  // the trend itself; 0 unless significant
  bool is_growing = false;    // the 95 % interval of the slope lies above 0
  static constexpr double kSaturated = 0.5;
  bool is_saturated() const { return growth_ratio > kSaturated; }
};

// Empty when the window or the samples are.
std::optional<Backlog> MeasureBacklog(std::span<const InFlightSample> samples, const Window& window);

// From a tenth of the time after the first arrival to the last one. The steady window would not do: it starts after twice
// the median latency, which a saturated run may never reach.
std::optional<Window> ArrivalWindow(std::span<const RequestRecord> records);

}  // namespace weir
