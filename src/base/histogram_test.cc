#include "base/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/metrics.h"
#include "base/rng.h"

namespace weir {
namespace {

TEST(LogHistogramTest, QuantilesAreWithinOnePercent) {
  Rng rng(1);
  LogHistogram histogram(1e-6, 3600);
  std::vector<double> values;
  for (int i = 0; i < 20000; ++i) {
    values.push_back(0.001 * std::exp(2.0 * rng.NextNormal()));
    histogram.Add(values.back());
  }
  std::sort(values.begin(), values.end());
  for (double p : {1.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    const double exact = values[static_cast<size_t>(std::ceil(p / 100 * values.size())) - 1];
    EXPECT_NEAR(histogram.Percentile(p) / exact, 1.0, 0.0101) << p;
  }
  EXPECT_EQ(histogram.max(), values.back());
}

TEST(LogHistogramTest, MergingEqualsAddingToOne) {
  LogHistogram left(1e-3, 10), right(1e-3, 10), all(1e-3, 10);
  for (int i = 1; i <= 100; ++i) {
    (i % 3 == 0 ? left : right).Add(i * 0.01);
    all.Add(i * 0.01);
  }
  left.Merge(right);
  EXPECT_EQ(left.count(), all.count());
  EXPECT_EQ(left.Percentile(37), all.Percentile(37));
  EXPECT_NEAR(left.sum(), all.sum(), 1e-9);
}

TEST(MetricsTest, RendersCumulativeBucketsAndEscapesLabels) {
  MetricsRegistry registry;
  const double bounds[] = {1, 2};
  BucketHistogram* histogram = registry.AddHistogram("h", "help", bounds, {{"a", "x\"y"}});
  histogram->Observe(0.5);
  histogram->Observe(2);
  histogram->Observe(5);
  registry.AddCounter("c_total", "help")->Add(2);
  const std::string text = registry.Render();
  EXPECT_NE(text.find("# TYPE h histogram\nh_bucket{a=\"x\\\"y\",le=\"1\"} 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("le=\"2\"} 2\n"), std::string::npos);
  EXPECT_NE(text.find("le=\"+Inf\"} 3\n"), std::string::npos);
  EXPECT_NE(text.find("h_sum{a=\"x\\\"y\"} 7.5\n"), std::string::npos);
  EXPECT_NE(text.find("c_total 2\n"), std::string::npos);
  EXPECT_EQ(registry.AddCounter("c_total", "help")->value(), 2);
}

TEST(RngTest, StreamsRepeatAndDistributionsHaveTheirMeans) {
  Rng first(42), second(42);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(first.Next(), second.Next());
  double exponential = 0, gamma = 0, below = 0;
  for (int i = 0; i < 20000; ++i) {
    exponential += first.NextExponential();
    gamma += first.NextGamma(0.5);
    below += static_cast<double>(first.NextBelow(10));
  }
  EXPECT_NEAR(exponential / 20000, 1.0, 0.04);
  EXPECT_NEAR(gamma / 20000, 1.0, 0.05);
  EXPECT_NEAR(below / 20000, 4.5, 0.1);
}

}  // namespace
}  // namespace weir
