// A distribution in logarithmic buckets: any reported quantile is at most 1 % off, whatever the count.
//
// Units     the caller's; values are >= 0
// Owns      1101 buckets from 1e-6 to 3600 of the caller's unit range ratio; min, max, count and sum stay
// exact Threads   one writer; merge for more Source    docs/MEASUREMENT.md, "Statistics"
#pragma once

#include <cstdint>
#include <vector>

namespace weir {

class LogHistogram {
 public:
  // Covers [lowest, highest]; values outside fall into the end buckets.
  LogHistogram(double lowest, double highest);

  void Add(double value);
  void Merge(const LogHistogram& other);  // same range (CHECK)

  uint64_t count() const { return count_; }
  double sum() const { return sum_; }
  double min() const { return min_; }
  double max() const { return max_; }
  // Nearest rank; p in (0, 100]. 0 when empty.
  double Percentile(double p) const;

 private:
  double lowest_;
  double highest_;
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  double sum_ = 0;
  double min_ = 0;
  double max_ = 0;
};

}  // namespace weir
