#include "engine/sampling/logprobs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace weir {
namespace {

TEST(LogprobsTest, MatchesProbabilitiesWorkedOutByHand) {
  // exp gives 1, 2, 4, 1: a sum of 8.
  const std::vector<float> row = {0.0f, std::log(2.0f), std::log(4.0f), 0.0f};
  EXPECT_NEAR(LogSumExp(row), std::log(8.0), 1e-6);
  const TokenLogprobs logprobs = LogprobsOf(row, 1, 3);
  EXPECT_NEAR(logprobs.chosen, std::log(0.25), 1e-6);
  ASSERT_EQ(logprobs.top.size(), 3u);
  EXPECT_EQ(logprobs.top[0].token, 2);
  EXPECT_NEAR(logprobs.top[0].logprob, std::log(0.5), 1e-6);
  EXPECT_EQ(logprobs.top[1].token, 1);
  EXPECT_EQ(logprobs.top[2].token, 0) << "of equals the lower id comes first";
  EXPECT_NEAR(logprobs.top[2].logprob, std::log(0.125), 1e-6);
}

TEST(LogprobsTest, ShiftOfAllLogitsChangesNothingEvenFarFromZero) {
  const std::vector<float> near = {1.0f, 2.0f, 3.0f};
  const std::vector<float> far = {-9999.0f, -9998.0f, -9997.0f};
  for (int token = 0; token < 3; ++token) {
    EXPECT_NEAR(LogprobsOf(near, token, 0).chosen, LogprobsOf(far, token, 0).chosen, 1e-3);
  }
}

TEST(LogprobsTest, MaskedTokenReadsTheLowestNumberInsteadOfInfinity) {
  const std::vector<float> row = {0.0f, -std::numeric_limits<float>::infinity()};
  EXPECT_EQ(LogprobsOf(row, 1, 2).chosen, kLowestLogprob);
  EXPECT_EQ(LogprobsOf(row, 1, 2).top[1].logprob, kLowestLogprob);
  EXPECT_NEAR(LogprobsOf(row, 0, 0).chosen, 0.0, 1e-7);
  EXPECT_TRUE(LogprobsOf(row, 0, 0).top.empty());
}

TEST(LogprobsTest, UnsoundRowScoresTheLowestNumberAndHasNoTop) {
  std::vector<float> row(1000, std::numeric_limits<float>::quiet_NaN());
  row[7] = 1.0f;
  EXPECT_EQ(LogprobsOf(row, 7, 20).chosen, kLowestLogprob);
  EXPECT_TRUE(LogprobsOf(row, 7, 20).top.empty());
}

TEST(LogprobsTest, AsksForNoMoreThanTheVocabularyHolds) {
  const std::vector<float> row = {0.0f, 1.0f};
  EXPECT_EQ(LogprobsOf(row, 0, 20).top.size(), 2u);
}

}  // namespace
}  // namespace weir
