#include "base/histogram.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace weir {
namespace {

// With this growth the geometric middle of a bucket is within 1 % of everything in it.
const double kLogGrowth = std::log(1.01 / 0.99);

}  // namespace

LogHistogram::LogHistogram(double lowest, double highest) : lowest_(lowest), highest_(highest) {
  CHECK(lowest > 0 && highest > lowest);
  buckets_.resize(static_cast<size_t>(std::ceil(std::log(highest / lowest) / kLogGrowth)) + 1);
}

void LogHistogram::Add(double value) {
  const double clamped = std::clamp(value, lowest_, highest_);
  const auto index = static_cast<size_t>(std::log(clamped / lowest_) / kLogGrowth);
  ++buckets_[std::min(index, buckets_.size() - 1)];
  min_ = count_ == 0 ? value : std::min(min_, value);
  max_ = count_ == 0 ? value : std::max(max_, value);
  ++count_;
  sum_ += value;
}

void LogHistogram::Merge(const LogHistogram& other) {
  CHECK(lowest_ == other.lowest_ && highest_ == other.highest_);
  if (other.count_ == 0) return;
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
  max_ = count_ == 0 ? other.max_ : std::max(max_, other.max_);
  count_ += other.count_;
  sum_ += other.sum_;
}

double LogHistogram::Percentile(double p) const {
  if (count_ == 0) return 0;
  const auto rank =
      std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(p / 100.0 * static_cast<double>(count_))));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= rank) {
      const double middle = lowest_ * std::exp(kLogGrowth * (static_cast<double>(i) + 0.5));
      return std::clamp(middle, min_, max_);
    }
  }
  return max_;
}

}  // namespace weir
