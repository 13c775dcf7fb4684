#include "perf/statistics/distribution.h"

#include <algorithm>
#include <cmath>

namespace weir {

double Percentile(std::span<const double> sorted, double p, PercentileMethod method) {
  if (sorted.empty()) return 0;
  const double n = static_cast<double>(sorted.size());
  if (method == PercentileMethod::kNearestRank) {
    // The tiny term keeps 0.95 * 20 = 19.000000000000004 from asking for rank 20.
    const double rank = std::ceil(p / 100 * n - 1e-9);
    return sorted[static_cast<size_t>(std::clamp(rank, 1.0, n)) - 1];
  }
  const double at = std::clamp(p / 100, 0.0, 1.0) * (n - 1);
  const size_t low = static_cast<size_t>(at);
  if (low + 1 >= sorted.size()) return sorted.back();
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[low + 1] - sorted[low]);
}

std::optional<Distribution> Summarize(std::vector<double> values, PercentileMethod method) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  Distribution out;
  out.method = method;
  out.count = static_cast<int64_t>(values.size());
  const double n = static_cast<double>(values.size());
  double sum = 0;
  for (const double value : values) sum += value;
  out.mean = sum / n;
  double squares = 0;
  for (const double value : values) squares += (value - out.mean) * (value - out.mean);
  out.std = std::sqrt(squares / n);
  out.min = values.front();
  out.max = values.back();
  out.p50 = Percentile(values, 50, method);
  out.p90 = Percentile(values, 90, method);
  out.p95 = Percentile(values, 95, method);
  out.p99 = Percentile(values, 99, method);
  out.p999 = Percentile(values, 99.9, method);
  return out;
}

Json ToJson(const std::optional<Distribution>& distribution) {
  if (!distribution) return nullptr;
  const Distribution& d = *distribution;
  return {{"count", d.count},
          {"mean", d.mean},
          {"std", d.std},
          {"min", d.min},
          {"p50", d.p50},
          {"p90", d.p90},
          {"p95", d.p95},
          {"p99", d.p99},
          {"p999", d.p999},
          {"max", d.max},
          {"method", d.method == PercentileMethod::kLinear ? "linear" : "nearest_rank"}};
}

}  // namespace weir
