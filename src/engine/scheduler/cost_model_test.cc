#include "engine/scheduler/cost_model.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"
#include "engine/scheduler/mean_lengths.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

// A machine whose small steps cost one sweep over the weights and whose large ones are bound by arithmetic.
double TrueSeconds(int num_tokens, int64_t kv) { return std::max(0.004, 0.0006 * num_tokens) + 1e-8 * kv; }

CostModel Trained(uint64_t seed, double noise) {
  Rng rng(seed);
  CostModel model;
  for (int i = 0; i < 6000; ++i) {
    const int tokens = 1 + static_cast<int>(rng.NextBelow(rng.NextBelow(2) == 0 ? 16 : 512));
    const int64_t kv = static_cast<int64_t>(rng.NextBelow(60000));
    model.Observe(tokens, kv, FromSeconds(TrueSeconds(tokens, kv) * (1 + noise * (rng.NextDouble() - 0.5))));
  }
  return model;
}

TEST(CostModelTest, PredictsNothingBeforeItHasSeenAStep) {
  EXPECT_EQ(CostModel().Predict(100, 1000), Duration::zero());
  EXPECT_EQ(CostModel().PredictPrefill(100, 32), Duration::zero());
}

TEST(CostModelTest, LearnsBothRegimesAndTheCostOfReadingKv) {
  const CostModel model = Trained(1, 0.1);
  for (int tokens : {1, 3, 8, 20, 48, 100, 300, 500}) {
    for (int64_t kv : {0, 20000, 50000}) {
      const double expected = TrueSeconds(tokens, kv);
      EXPECT_NEAR(ToSeconds(model.Predict(tokens, kv)), expected, 0.15 * expected)
          << tokens << " tokens, kv " << kv;
    }
  }
}

// A batch of decodes whose contexts grow by one token a step, on a machine that others use too.
TEST(CostModelTest, NoiseOfDecodesDoesNotBecomeAPriceOfKv) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Rng rng(seed);
    CostModel model;
    const double price = 1e-6, base = 0.005;
    for (int step = 0; step < 40; ++step) {
      const int64_t kv = 8 * (512 + step);
      model.Observe(8, kv, FromSeconds((base + price * kv) * (1 + 2 * rng.NextDouble())));
    }
    // A prompt of 512 tokens reads 131,328 of them: at the true price 0.13 s; all of a step's time as a price would be 1 s.
    EXPECT_LE(ToSeconds(model.Predict(8, 8 * 512 + 131328)), 1.0) << "seed " << seed;
  }
}

TEST(CostModelTest, DoesNotLearnFromAnAccident) {
  CostModel model;
  for (int i = 0; i < 50; ++i) model.Observe(8, 100, FromSeconds(0.005));
  EXPECT_FALSE(model.Observe(8, 100, FromSeconds(0.050)));
  EXPECT_NEAR(ToSeconds(model.Predict(8, 100)), 0.005, 1e-4);
  EXPECT_TRUE(model.Observe(8, 100, FromSeconds(0.030)));
}

TEST(CostModelTest, OneLateStepMovesItsPredictionLittle) {
  CostModel model;
  for (int i = 0; i < 100; ++i) model.Observe(24, 0, milliseconds(40));
  model.Observe(24, 0, milliseconds(300));
  EXPECT_LT(ToSeconds(model.Predict(24, 0)), 0.0425);
  for (int i = 0; i < 100; ++i) model.Observe(24, 0, milliseconds(150));
  EXPECT_NEAR(ToSeconds(model.Predict(24, 0)), 0.150, 0.005) << "that is how steps are now";
}

TEST(CostModelTest, BelievesAChangeThatStays) {
  CostModel model;
  for (int i = 0; i < 50; ++i) model.Observe(8, 100, FromSeconds(0.001));
  for (int i = 0; i < 40; ++i) model.Observe(8, 100, FromSeconds(0.050));
  EXPECT_NEAR(ToSeconds(model.Predict(8, 100)), 0.050, 0.005);
}

TEST(CostModelTest, ForgetsWhatABusyMachineTaughtIt) {
  CostModel model;
  for (int i = 0; i < 5; ++i) model.Observe(8, 100, FromSeconds(0.200));
  model.Observe(8, 100, FromSeconds(0.005));
  EXPECT_NEAR(ToSeconds(model.Predict(8, 100)), 0.005, 1e-4);
}

TEST(CostModelTest, FollowsASlowDrift) {
  CostModel model;
  for (int i = 0; i < 50; ++i) model.Observe(8, 100, FromSeconds(0.004));
  for (int i = 0; i < 100; ++i) model.Observe(8, 100, FromSeconds(0.008));
  EXPECT_NEAR(ToSeconds(model.Predict(8, 100)), 0.008, 0.0002);
}

TEST(CostModelTest, BorrowsFromKnownRangesForUnknownOnes) {
  CostModel model;
  for (int i = 0; i < 20; ++i) model.Observe(8, 0, FromSeconds(0.004));
  // Nothing larger is known: the careful assumption is proportional.
  EXPECT_NEAR(ToSeconds(model.Predict(80, 0)), 0.040, 1e-4);
  for (int i = 0; i < 20; ++i) model.Observe(300, 0, FromSeconds(0.180));
  EXPECT_GT(model.Predict(80, 0), FromSeconds(0.004));
  EXPECT_LT(model.Predict(80, 0), FromSeconds(0.180));
}

TEST(CostModelTest, PrefillIsTheSumOfItsChunks) {
  const CostModel model = Trained(2, 0.0);
  const Duration expected = model.Predict(256, 0) * 3 + model.Predict(100, 0);
  const Duration kv_part = model.Predict(256, 868 * 869 / 2) - model.Predict(256, 0);
  EXPECT_NEAR(ToSeconds(model.PredictPrefill(868, 256)), ToSeconds(expected + kv_part), 1e-4);
}

TEST(CostModelTest, PrefillRateIsWhatTheStepBudgetAllows) {
  const CostModel model = Trained(3, 0.0);
  const Duration budget = std::chrono::milliseconds(50);
  // Bound by arithmetic: 0.6 ms a token, whatever the chunk.
  EXPECT_NEAR(model.PrefillTokensPerSecond(0, 0, 512, budget), 1667, 170);
  // Beside 32 decodes a chunk of 16 costs 48 tokens' time, one of 32 costs 64.
  const double beside = model.PrefillTokensPerSecond(32, 0, 512, budget);
  EXPECT_NEAR(beside, 32 / (64 * 0.0006), 90);
  // A budget that allows nothing still lets the smallest chunk through.
  EXPECT_GT(model.PrefillTokensPerSecond(0, 0, 512, Duration(1)), 500);
  EXPECT_EQ(CostModel().PrefillTokensPerSecond(0, 0, 512, budget), 0);
}

TEST(CostModelTest, StepsWithPromptsKeepTheObjectiveWhereTheyCan) {
  CostModel model;
  EXPECT_EQ(model.StepBudget(8, 0, milliseconds(50), true), milliseconds(50)) << "nothing is known";
  model.Observe(24, 0, milliseconds(20));
  EXPECT_EQ(model.StepBudget(8, 0, milliseconds(50), true), milliseconds(50));
  EXPECT_NEAR(ToSeconds(model.StepBudget(8, 0, milliseconds(21), true)), 0.030, 1e-4);
  // Twice the objective is what streams are promised, so a step just above the objective does not make it void.
  EXPECT_NEAR(ToSeconds(model.StepBudget(8, 0, milliseconds(19), true)), 0.0285, 1e-4);
  EXPECT_NEAR(ToSeconds(model.StepBudget(8, 0, milliseconds(11), true)), 0.020, 1e-4);
  EXPECT_NEAR(ToSeconds(model.StepBudget(8, 0, milliseconds(9), true)), 0.060, 1e-4) << "it cannot be kept";
}

TEST(CostModelTest, AnObjectiveThatDecodesAloneBreakDoesNotStarveThem) {
  CostModel model;
  for (int i = 0; i < 20; ++i) {
    model.Observe(48, 0, milliseconds(90), StepKind::kWithPrompts);
    model.Observe(32, 0, milliseconds(60), StepKind::kDecodesOnly);
  }
  EXPECT_NEAR(ToSeconds(model.StepBudget(32, 0, milliseconds(61), true)), 0.0915, 1e-4);
  EXPECT_NEAR(ToSeconds(model.StepBudget(32, 0, milliseconds(59), true)), 0.270, 1e-4);
  EXPECT_NEAR(ToSeconds(model.StepBudget(32, 0, milliseconds(59), false)), 0.090, 1e-4)
      << "one prompt keeps no slot empty";
}

TEST(CostModelTest, KnowsStepsWithPromptsAndStepsOfDecodesApart) {
  CostModel model;
  for (int i = 0; i < 20; ++i) {
    model.Observe(24, 0, milliseconds(60), StepKind::kWithPrompts);
    model.Observe(24, 0, milliseconds(10), StepKind::kDecodesOnly);
  }
  EXPECT_NEAR(ToSeconds(model.Predict(24, 0, StepKind::kWithPrompts)), 0.060, 1e-4);
  EXPECT_NEAR(ToSeconds(model.Predict(24, 0, StepKind::kDecodesOnly)), 0.010, 1e-4);
  // What one kind has not seen, the other tells better than nothing.
  model.Observe(3, 0, milliseconds(5), StepKind::kDecodesOnly);
  EXPECT_NEAR(ToSeconds(model.Predict(3, 0, StepKind::kWithPrompts)), 0.005, 1e-4);
}

TEST(CostModelTest, PredictsHowLongASlotIsHeldWhileAllAreTaken) {
  CostModel model;
  EXPECT_EQ(model.SlotSeconds(100, 50, 8, 512, std::chrono::milliseconds(50)), 0) << "nothing is known";
  for (int round = 0; round < 50; ++round) {
    for (const int tokens : {1, 8, 40, 72, 136, 264, 512})
      model.Observe(tokens, 0, FromSeconds(TrueSeconds(tokens, 0)));
  }
  // 8 slots: 50 steps of 8 decodes take 4.8 ms each, and 800 prompt tokens beside them 0.6 ms each.
  EXPECT_NEAR(model.SlotSeconds(100, 50, 8, 512, std::chrono::milliseconds(50)), 50 * 0.0048 + 800 * 0.0006,
              0.08);
  EXPECT_NEAR(model.SlotSeconds(0, 50, 8, 512, std::chrono::milliseconds(50)), 50 * 0.0048, 0.03);
}

TEST(CostModelTest, PredictsHowLongAnOutputTokenTakesBesideOthers) {
  const Duration objective = std::chrono::milliseconds(50);
  CostModel model;
  EXPECT_EQ(model.TokenSeconds(100, 50, 7, 512, objective), 0) << "nothing is known";
  for (int round = 0; round < 50; ++round) {
    for (const int tokens : {1, 8, 40, 72, 136, 264, 512})
      model.Observe(tokens, 0, FromSeconds(TrueSeconds(tokens, 0)));
  }
  EXPECT_NEAR(model.TokenSeconds(100, 50, 0, 512, objective), TrueSeconds(1, 0), 0.0005) << "alone";
  // Beside seven others: their 700 prompt tokens at 0.6 ms, spread over the steps in which each generates its 50.
  EXPECT_NEAR(model.TokenSeconds(100, 50, 7, 512, objective), 0.0048 + 700 * 0.0006 / 50, 0.003);
  EXPECT_NEAR(model.TokenSeconds(0, 50, 7, 512, objective), 0.0048, 0.001);
  // Where prompts never cease, every step has a piece of one, and no step is longer than its budget.
  EXPECT_LE(model.TokenSeconds(1000, 1, 7, 512, objective), 0.051);
}

TEST(MeanLengthsTest, NearlyAllOutputsAreShorterThanALongOne) {
  MeanLengths lengths;
  for (int i = 0; i < 100; ++i) lengths.Add(10, 40, false);
  EXPECT_NEAR(lengths.LongOutput(), 40, 0.1);
  for (int i = 0; i < 1000; ++i) lengths.Add(10, i % 2 == 0 ? 20 : 60, false);
  EXPECT_NEAR(lengths.LongOutput(), 40 + 2 * 20, 5);
}

}  // namespace
}  // namespace weir
