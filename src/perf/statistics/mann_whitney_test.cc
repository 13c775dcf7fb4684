#include "perf/statistics/mann_whitney.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/rng.h"

namespace weir {
namespace {

// Every way to deal the pooled values out to the sides, counted one by one.
double PByEnumeration(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> all = a;
  all.insert(all.end(), b.begin(), b.end());
  const auto rank_sum = [&](const std::vector<bool>& in_a) {
    double sum = 0;
    for (size_t i = 0; i < all.size(); ++i) {
      if (!in_a[i]) continue;
      for (const double other : all) sum += other < all[i] ? 1 : other == all[i] ? 0.5 : 0;
      sum += 0.5;
    }
    return sum;
  };
  std::vector<bool> deal(all.size());
  std::fill(deal.begin(), deal.begin() + static_cast<std::ptrdiff_t>(a.size()), true);
  const double mean = static_cast<double>(a.size()) * static_cast<double>(all.size() + 1) / 2;
  const double observed = std::fabs(rank_sum(deal) - mean);
  std::sort(deal.begin(), deal.end());
  int total = 0, extreme = 0;
  do {
    ++total;
    extreme += std::fabs(rank_sum(deal) - mean) >= observed - 1e-9;
  } while (std::next_permutation(deal.begin(), deal.end()));
  return static_cast<double>(extreme) / total;
}

TEST(MannWhitneyTest, AgreesWithCountingEveryDealTiesIncluded) {
  Rng rng(5);
  for (int trial = 0; trial < 60; ++trial) {
    std::vector<double> a(1 + rng.NextBelow(6)), b(1 + rng.NextBelow(6));
    const uint64_t spread = trial % 2 == 0 ? 4 : 1000000;  // with ties, and practically without
    for (double& value : a) value = static_cast<double>(rng.NextBelow(spread));
    for (double& value : b) value = static_cast<double>(rng.NextBelow(spread)) + 1;
    EXPECT_NEAR(MannWhitneyP(a, b), PByEnumeration(a, b), 1e-12) << trial;
  }
}

TEST(MannWhitneyTest, SmallestPossiblePIsWhatTheNumberOfRunsAllows) {
  for (const auto& [runs, p] : {std::pair{3, 0.1}, {4, 0.0286}, {5, 0.0079}, {10, 0.0000108}}) {
    std::vector<double> a(static_cast<size_t>(runs)), b(a.size());
    std::iota(a.begin(), a.end(), 0);
    std::iota(b.begin(), b.end(), 100);
    EXPECT_NEAR(MannWhitneyP(a, b), p, 0.01 * p + 1e-7) << runs;
    EXPECT_EQ(MannWhitneyP(a, b), MannWhitneyP(b, a));
  }
}

TEST(MannWhitneyTest, EqualValuesAndEmptySidesProveNothing) {
  const std::vector<double> same(10, 7.0);
  EXPECT_DOUBLE_EQ(MannWhitneyP(same, same), 1);
  EXPECT_EQ(MannWhitneyP({}, same), 1);
  const std::vector<double> many(80, 7.0);
  EXPECT_EQ(MannWhitneyP(many, many), 1);
}

TEST(MannWhitneyTest, LargeSamplesUseTheNormalApproximationCloseToTheExactValue) {
  std::vector<double> a(50), b(50), more(51);
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<double>(i);
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<double>(i) + 4.5;
  for (size_t i = 0; i < more.size(); ++i) more[i] = static_cast<double>(i) + 4;  // the same centre
  EXPECT_GT(MannWhitneyP(a, b), 0.05);
  EXPECT_NEAR(MannWhitneyP(a, more), MannWhitneyP(a, b), 0.01);
}

TEST(HodgesLehmannTest, IsTheMedianDifferenceWithTheIntervalOfTheTest) {
  const std::vector<double> a = {1, 2, 3, 4, 5}, b = {11, 12, 13, 14, 15};
  const auto shift = HodgesLehmannShift(a, b);
  ASSERT_TRUE(shift.has_value());
  EXPECT_DOUBLE_EQ(shift->median, 10);
  ASSERT_TRUE(shift->interval95.has_value());
  // Tabled critical value for 5 and 5 at 5 %: U = 2, so the third smallest of the 25 differences.
  EXPECT_DOUBLE_EQ(shift->interval95->low, 7);
  EXPECT_DOUBLE_EQ(shift->interval95->high, 13);
  EXPECT_FALSE(HodgesLehmannShift(a, {}).has_value());
}

TEST(HodgesLehmannTest, ThreeRunsHaveAShiftAndNoInterval) {
  const std::vector<double> a = {1, 2, 3}, b = {2, 3, 4};
  const auto shift = HodgesLehmannShift(a, b);
  ASSERT_TRUE(shift.has_value());
  EXPECT_DOUBLE_EQ(shift->median, 1);
  EXPECT_FALSE(shift->interval95.has_value());
}

TEST(HodgesLehmannTest, IntervalHoldsTheTrueShiftInNineteenOfTwenty) {
  Rng rng(17);
  int inside = 0;
  constexpr int kTrials = 2000;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> a(10), b(10);
    for (double& value : a) value = rng.NextNormal();
    for (double& value : b) value = rng.NextNormal() + 0.5;
    const auto shift = HodgesLehmannShift(a, b);
    inside += shift->interval95->low <= 0.5 && 0.5 <= shift->interval95->high;
  }
  EXPECT_GE(inside, kTrials * 0.94);
  EXPECT_LE(inside, kTrials * 0.98);
}

TEST(HolmTest, CorrectsTheSmallestMostAndKeepsTheOrder) {
  const std::vector<double> p = {0.04, 0.01, 0.03};
  const std::vector<double> corrected = HolmCorrect(p);
  EXPECT_DOUBLE_EQ(corrected[1], 0.03);
  EXPECT_DOUBLE_EQ(corrected[2], 0.06);
  EXPECT_DOUBLE_EQ(corrected[0], 0.06);  // never below a smaller one's
  EXPECT_TRUE(HolmCorrect({}).empty());
}

}  // namespace
}  // namespace weir
