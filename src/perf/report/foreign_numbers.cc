#include "perf/report/foreign_numbers.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "perf/statistics/distribution.h"

namespace weir {

NumpySummary::NumpySummary(std::vector<double> values) : sorted(std::move(values)) {
  std::sort(sorted.begin(), sorted.end());
  if (sorted.empty()) return;
  const double n = static_cast<double>(sorted.size());
  mean = std::accumulate(sorted.begin(), sorted.end(), 0.0) / n;
  double squares = 0;
  for (const double value : sorted) squares += (value - mean) * (value - mean);
  deviation = std::sqrt(squares / n);
}

double NumpySummary::At(double percentile) const {
  return sorted.empty() ? 0 : Percentile(sorted, percentile, PercentileMethod::kLinear);
}

int MostInFlight(std::span<const RequestRecord> records) {
  std::vector<std::pair<double, int>> changes;
  for (const RequestRecord& record : records) {
    changes.emplace_back(record.sent_ms, 1);
    changes.emplace_back(record.done_ms, -1);
  }
  std::sort(changes.begin(), changes.end());  // an end before a beginning of the same instant
  int now = 0, most = 0;
  for (const auto& [at, change] : changes) most = std::max(most, now += change);
  return most;
}

std::vector<const RequestRecord*> EndedOfFirstStage(std::span<const RequestRecord> records) {
  std::vector<const RequestRecord*> out;
  for (const RequestRecord& record : records) {
    if (record.load_stage == 0 && record.outcome != Outcome::kCancelled) out.push_back(&record);
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const RequestRecord* a, const RequestRecord* b) { return a->sent_ms < b->sent_ms; });
  return out;
}

}  // namespace weir
