// Count, mean, spread and percentiles of measured values; nearest-rank unless asked otherwise.
//
// Units     the caller's; the unit is in the field's name
// Source    docs/MEASUREMENT.md, "Statistics"
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"

namespace weir {

enum class PercentileMethod { kNearestRank, kLinear };

struct Distribution {
  int64_t count = 0;
  double mean = 0, std = 0, min = 0, max = 0;
  double p50 = 0, p90 = 0, p95 = 0, p99 = 0, p999 = 0;
  PercentileMethod method = PercentileMethod::kNearestRank;
};

// Empty when there are no values: "not measured" is never 0.
std::optional<Distribution> Summarize(std::vector<double> values,
                                      PercentileMethod method = PercentileMethod::kNearestRank);
double Percentile(std::span<const double> sorted, double p, PercentileMethod method);
Json ToJson(const std::optional<Distribution>& distribution);  // null when empty

// 95 % interval of the mean over runs: percentile bootstrap, and below 10 runs the wider of it and the t-interval.
// Empty below 3 runs.
struct Interval {
  double low = 0, high = 0;
};
std::optional<Interval> ConfidenceInterval95(std::span<const double> runs);

}  // namespace weir
