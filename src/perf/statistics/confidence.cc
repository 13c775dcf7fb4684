#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "base/rng.h"
#include "perf/statistics/distribution.h"

namespace weir {
namespace {

constexpr int kResamples = 10000;
// Two-sided 95 % quantiles of Student's t for 2 to 8 degrees of freedom.
constexpr double kStudentT[] = {4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060};

Interval Bootstrap(std::span<const double> runs) {
  Rng rng(1);  // the same runs always give the same interval
  std::vector<double> means(kResamples);
  for (double& mean : means) {
    double sum = 0;
    for (size_t i = 0; i < runs.size(); ++i) sum += runs[rng.NextBelow(runs.size())];
    mean = sum / static_cast<double>(runs.size());
  }
  std::sort(means.begin(), means.end());
  return {Percentile(means, 2.5, PercentileMethod::kNearestRank),
          Percentile(means, 97.5, PercentileMethod::kNearestRank)};
}

}  // namespace

std::optional<Interval> ConfidenceInterval95(std::span<const double> runs) {
  if (runs.size() < 3) return std::nullopt;
  const Interval bootstrap = Bootstrap(runs);
  const size_t freedom = runs.size() - 1;
  if (freedom - 2 >= std::size(kStudentT)) return bootstrap;
  const double n = static_cast<double>(runs.size());
  const double mean = std::accumulate(runs.begin(), runs.end(), 0.0) / n;
  double squares = 0;
  for (const double run : runs) squares += (run - mean) * (run - mean);
  const double half = kStudentT[freedom - 2] * std::sqrt(squares / (n - 1) / n);
  // With few runs the bootstrap can only reshuffle what it saw and comes out too narrow.
  return 2 * half > bootstrap.high - bootstrap.low ? Interval{mean - half, mean + half} : bootstrap;
}

}  // namespace weir
