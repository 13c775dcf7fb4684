// Levels of load: how they are written, and how the highest one that keeps its bounds is found.
#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "perf/driver/load_stage.h"
#include "perf/driver/slo_search.h"

namespace weir {
namespace {

TEST(StagesTest, AreReadInOrderWithTheirTimes) {
  const Result<std::vector<LoadStage>> stages = ParseStages("rate=2:60s,concurrency=8:1m30s,rate=0.5:10");
  ASSERT_TRUE(stages.has_value()) << stages.error().message();
  ASSERT_EQ(stages->size(), 3u);
  EXPECT_EQ((*stages)[0].request_rate, 2);
  EXPECT_EQ((*stages)[0].duration_s, 60);
  EXPECT_FALSE((*stages)[1].request_rate.has_value());
  EXPECT_EQ((*stages)[1].concurrency, 8);
  EXPECT_EQ((*stages)[1].duration_s, 90);
  EXPECT_EQ((*stages)[2].duration_s, 10);
  for (const char* wrong : {"", "rate=2", "rate:2s", "rate=0:5s", "rate=x:5s", "rate=2:0s", "users=3:5s",
                            "concurrency=1.5:5s", "concurrency=0:5s", "rate=2:5h", "rate=nan:5s", ","}) {
    EXPECT_FALSE(ParseStages(wrong).has_value()) << wrong;
  }
}

TEST(SweepTest, HasLevelsOrFollowsFromTheCapacity) {
  EXPECT_EQ(ParseSweep("concurrency=1,2,4")->levels, (std::vector<double>{1, 2, 4}));
  EXPECT_EQ(ParseSweep("rate=0.5,1")->levels, (std::vector<double>{0.5, 1}));
  EXPECT_TRUE(ParseSweep("rate=auto")->levels.empty());
  for (const char* wrong : {"", "rate", "rate=", "rate=1,-2", "concurrency=auto", "concurrency=1.5", "x=1"}) {
    EXPECT_FALSE(ParseSweep(wrong).has_value()) << wrong;
  }
  const std::vector<double> rates = AutomaticRates(50);
  ASSERT_EQ(rates.size(), 10u);
  EXPECT_DOUBLE_EQ(rates.front(), 5);
  EXPECT_DOUBLE_EQ(rates.back(), 60);
}

TEST(SearchTest, FindsTheHighestWholeLevelExactlyOrWithinTheResolution) {
  SearchSpec spec;
  spec.highest = 512;
  for (int capacity = 1; capacity <= 300; ++capacity) {
    const auto outcome = FindHighest(spec, [&](double level) -> Result<bool> { return level <= capacity; });
    ASSERT_TRUE(outcome.has_value());
    EXPECT_TRUE(outcome->confirmed);
    EXPECT_LE(outcome->answer, capacity);
    EXPECT_GE(outcome->answer * 1.1 + 1, capacity) << capacity;
    EXPECT_EQ(outcome->answer, std::floor(outcome->answer));
    EXPECT_LE(outcome->probes.size(), 24u);
  }
}

TEST(SearchTest, FindsRatesBetweenWholeNumbersAndBelowTheFirst) {
  SearchSpec spec;
  spec.whole = false;
  for (const double capacity : {0.03, 0.7, 3.3, 47.0}) {
    const auto outcome = FindHighest(spec, [&](double level) -> Result<bool> { return level <= capacity; });
    EXPECT_LE(outcome->answer, capacity);
    EXPECT_GE(outcome->answer * 1.1, capacity);
  }
}

TEST(SearchTest, AServerThatAlwaysOrNeverKeepsTheBoundsIsSaidSo) {
  SearchSpec spec;
  spec.highest = 64;
  const auto always = FindHighest(spec, [](double) -> Result<bool> { return true; });
  EXPECT_EQ(always->answer, 64);
  EXPECT_TRUE(always->at_highest);
  const auto never = FindHighest(spec, [](double) -> Result<bool> { return false; });
  EXPECT_EQ(never->answer, 0);
  EXPECT_FALSE(never->confirmed);
}

TEST(SearchTest, ALuckyLevelIsNotConfirmed) {
  SearchSpec spec;
  spec.highest = 64;
  // Above 10 a probe passes at first, and never again.
  std::vector<int> seen(100);
  const auto outcome = FindHighest(spec, [&](double level) -> Result<bool> {
    return level <= 10 || ++seen[static_cast<size_t>(level)] <= 1;
  });
  EXPECT_TRUE(outcome->confirmed);
  EXPECT_LE(outcome->answer, 10);
  EXPECT_GE(outcome->answer, 8);
  EXPECT_FALSE(outcome->at_highest);
}

TEST(SearchTest, AFailingProbeEndsTheSearch) {
  const auto outcome = FindHighest({}, [](double) -> Result<bool> { return Unavailable("gone"); });
  EXPECT_FALSE(outcome.has_value());
}

}  // namespace
}  // namespace weir
