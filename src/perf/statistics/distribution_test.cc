#include "perf/statistics/distribution.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace weir {
namespace {

TEST(DistributionTest, NearestRankTakesValuesThatOccurred) {
  std::vector<double> values(20);
  std::iota(values.begin(), values.end(), 1.0);
  const auto d = Summarize(values);
  ASSERT_TRUE(d.has_value());
  EXPECT_EQ(d->p50, 10);
  EXPECT_EQ(d->p90, 18);
  EXPECT_EQ(d->p95, 19);
  EXPECT_EQ(d->p99, 20);
  EXPECT_EQ(d->mean, 10.5);
  EXPECT_NEAR(d->std, 5.766281, 1e-6);
}

TEST(DistributionTest, LinearReproducesThePublishedStudysP99) {
  // 22 successes, the largest 3.000 s and the next 2.714 s: the study prints a P99 of 2.940 s.
  std::vector<double> values(20, 2.70);
  values.push_back(2.714);
  values.push_back(3.000);
  const auto linear = Summarize(values, PercentileMethod::kLinear);
  EXPECT_NEAR(linear->p99, 2.940, 0.0005);
  EXPECT_EQ(Summarize(values)->p99, 3.000);
}

TEST(DistributionTest, NothingMeasuredIsNullNotZero) {
  EXPECT_FALSE(Summarize({}).has_value());
  EXPECT_TRUE(ToJson(std::nullopt).is_null());
}

TEST(DistributionTest, OrderDoesNotMatter) {
  EXPECT_EQ(Summarize({3, 1, 2})->p50, 2);
  EXPECT_EQ(Summarize({3, 1, 2})->min, 1);
  EXPECT_EQ(Summarize({3, 1, 2})->max, 3);
}

TEST(ConfidenceTest, NeedsThreeRuns) {
  EXPECT_FALSE(ConfidenceInterval95(std::vector<double>{1, 2}).has_value());
  EXPECT_TRUE(ConfidenceInterval95(std::vector<double>{1, 2, 3}).has_value());
}

TEST(ConfidenceTest, FewRunsGetTheWiderStudentInterval) {
  const auto interval = ConfidenceInterval95(std::vector<double>{9, 10, 11});
  ASSERT_TRUE(interval.has_value());
  EXPECT_NEAR(interval->low, 10 - 4.3027 / std::sqrt(3.0), 1e-3);
  EXPECT_NEAR(interval->high, 10 + 4.3027 / std::sqrt(3.0), 1e-3);
}

TEST(ConfidenceTest, ManyRunsGetTheBootstrapAndItRepeats) {
  std::vector<double> runs;
  for (int i = 0; i < 30; ++i) runs.push_back(100 + (i % 7));
  const auto first = ConfidenceInterval95(runs), second = ConfidenceInterval95(runs);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->low, second->low);
  EXPECT_EQ(first->high, second->high);
  const double mean = std::accumulate(runs.begin(), runs.end(), 0.0) / 30;
  EXPECT_LT(first->low, mean);
  EXPECT_GT(first->high, mean);
  EXPECT_LT(first->high - first->low, 2.0);
}

}  // namespace
}  // namespace weir
