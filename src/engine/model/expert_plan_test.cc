#include "engine/model/expert_plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "base/rng.h"

namespace weir {
namespace {

TEST(ExpertPlan, TheLargestLogitsAreChosenAndWeighedBySoftmaxOverAll) {
  ExpertPlan plan(2, 4, 2);
  const float logits[] = {0.0f, std::log(4.0f), std::log(2.0f), 0.0f};  // probabilities 1, 4, 2, 1 of 8
  plan.Choose(0, logits, false);
  plan.Choose(1, logits, true);
  plan.Group(2, 0);
  EXPECT_NEAR(plan.weights_of(0)[0], 0.5, 1e-6);
  EXPECT_NEAR(plan.weights_of(0)[1], 0.25, 1e-6);
  EXPECT_NEAR(plan.weights_of(1)[0], 2.0 / 3, 1e-6);
  EXPECT_NEAR(plan.weights_of(1)[1], 1.0 / 3, 1e-6);
  for (int row : {0, 1}) {
    EXPECT_EQ(plan.share_of(plan.pairs_of(row)[0]).expert, 1);
    EXPECT_EQ(plan.share_of(plan.pairs_of(row)[1]).expert, 2);
  }
}

TEST(ExpertPlan, TheFirstOfEqualLogitsIsChosen) {
  ExpertPlan plan(1, 5, 3);
  const float logits[] = {1, 2, 1, 2, 1};
  plan.Choose(0, logits, true);
  plan.Group(1, 0);
  std::vector<int> experts;
  for (const int pair : plan.pairs_of(0)) experts.push_back(plan.share_of(pair).expert);
  EXPECT_EQ(experts, (std::vector<int>{1, 3, 0}));
}

TEST(ExpertPlan, PairsLieExpertByExpertWithPromptsFirst) {
  constexpr int kRows = 50, kPrompts = 30, kExperts = 8, kPerRow = 3;
  ExpertPlan plan(kRows, kExperts, kPerRow);
  Rng rng(5);
  std::vector<float> logits(kExperts);
  for (int row = 0; row < kRows; ++row) {
    for (float& logit : logits) logit = static_cast<float>(rng.NextDouble());
    plan.Choose(row, logits.data(), true);
  }
  plan.Group(kRows, kPrompts);
  int next = 0, last_expert = -1;
  for (const ExpertPlan::Share& share : plan.shares()) {
    EXPECT_GT(share.expert, last_expert);
    last_expert = share.expert;
    EXPECT_EQ(share.first_pair, next);
    ASSERT_GT(share.num_rows, 0);
    for (int i = 0; i < share.num_rows; ++i) {
      const int pair = share.first_pair + i;
      EXPECT_EQ(&plan.share_of(pair), &share);
      EXPECT_EQ(plan.row_of(pair) < kPrompts, i < share.num_prompt_rows);
      const auto pairs = plan.pairs_of(plan.row_of(pair));
      EXPECT_EQ(std::count(pairs.begin(), pairs.end(), pair), 1);
    }
    next += share.num_rows;
  }
  EXPECT_EQ(next, kRows * kPerRow);
}

TEST(ExpertPlan, LogitsThatAreNotFiniteSpoilTheirOwnRowOnly) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(),
                  kInf = std::numeric_limits<float>::infinity();
  ExpertPlan plan(4, 3, 2);
  const float rows[][3] = {{kNan, kNan, kNan}, {1, kInf, 0}, {-kInf, -kInf, -kInf}, {0, 0, 0}};
  for (int row = 0; row < 4; ++row) plan.Choose(row, rows[row], true);
  plan.Group(4, 0);
  for (int row = 0; row < 3; ++row) {
    EXPECT_TRUE(std::isnan(plan.weights_of(row)[0])) << row;
    EXPECT_NE(plan.share_of(plan.pairs_of(row)[0]).expert, plan.share_of(plan.pairs_of(row)[1]).expert);
  }
  EXPECT_EQ(plan.weights_of(3)[0], 0.5f);
}

}  // namespace
}  // namespace weir
