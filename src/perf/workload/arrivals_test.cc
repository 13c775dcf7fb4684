#include "perf/workload/arrivals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace weir {
namespace {

ArrivalSpec Spec(ArrivalProcess process, double rate) {
  ArrivalSpec spec;
  spec.process = process;
  spec.rate_per_s = rate;
  spec.seed = 11;
  return spec;
}

std::vector<double> Gaps(const std::vector<double>& times) {
  std::vector<double> gaps;
  for (size_t i = 1; i < times.size(); ++i) gaps.push_back(times[i] - times[i - 1]);
  return gaps;
}

double VariationOfGaps(const std::vector<double>& times) {
  const std::vector<double> gaps = Gaps(times);
  double mean = 0, square = 0;
  for (double gap : gaps) mean += gap / static_cast<double>(gaps.size());
  for (double gap : gaps) square += (gap - mean) * (gap - mean) / static_cast<double>(gaps.size());
  return std::sqrt(square) / mean;
}

TEST(ArrivalsTest, ConstantRateIsExact) {
  const std::vector<double> times = DrawArrivals(Spec(ArrivalProcess::kConstant, 200), 6000, 0);
  ASSERT_EQ(times.size(), 6000u);
  for (size_t i = 0; i < times.size(); ++i) EXPECT_EQ(times[i], static_cast<double>(i) / 200);
}

TEST(ArrivalsTest, PoissonGapsAreTheRawDraws) {
  const std::vector<double> times = DrawArrivals(Spec(ArrivalProcess::kPoisson, 4), 1000, 0);
  Rng rng(11);
  double at = 0;
  for (double time : times) {
    at += rng.NextExponential();
    EXPECT_NEAR(time, at / 4, 1e-9);
  }
}

TEST(ArrivalsTest, PoissonGapsPassKolmogorovSmirnovAtOnePercent) {
  std::vector<double> gaps = Gaps(DrawArrivals(Spec(ArrivalProcess::kPoisson, 50), 5001, 0));
  std::sort(gaps.begin(), gaps.end());
  double distance = 0;
  const double n = static_cast<double>(gaps.size());
  for (size_t i = 0; i < gaps.size(); ++i) {
    const double expected = 1 - std::exp(-50 * gaps[i]);
    distance = std::max({distance, std::fabs(expected - static_cast<double>(i) / n),
                         std::fabs(expected - static_cast<double>(i + 1) / n)});
  }
  EXPECT_LT(distance, 1.628 / std::sqrt(n));
}

TEST(ArrivalsTest, GammaShapeSetsBurstiness) {
  ArrivalSpec spec = Spec(ArrivalProcess::kGamma, 10);
  spec.burstiness = 4;
  EXPECT_NEAR(VariationOfGaps(DrawArrivals(spec, 20000, 0)), 0.5, 0.03);
  spec.burstiness = 0.25;
  EXPECT_NEAR(VariationOfGaps(DrawArrivals(spec, 20000, 0)), 2.0, 0.15);
}

TEST(ArrivalsTest, DurationEndsTheList) {
  const std::vector<double> times = DrawArrivals(Spec(ArrivalProcess::kPoisson, 100), 100000, 3.0);
  ASSERT_FALSE(times.empty());
  EXPECT_LT(times.back(), 3.0);
  EXPECT_NEAR(static_cast<double>(times.size()), 300, 60);
}

TEST(ArrivalsTest, RampStartsSlowAndEndsAtTheRate) {
  ArrivalSpec spec = Spec(ArrivalProcess::kConstant, 10);
  spec.ramp_up_s = 10;
  const std::vector<double> times = DrawArrivals(spec, 200, 0);
  // Half of 10 x 10 arrivals fit into the ramp; after it they are 0.1 s apart.
  EXPECT_NEAR(static_cast<double>(std::count_if(times.begin(), times.end(), [](double t) { return t < 10; })),
              50, 1);
  EXPECT_NEAR(times[199] - times[198], 0.1, 1e-9);
  EXPECT_GT(times[2] - times[1], 0.4);
}

}  // namespace
}  // namespace weir
