#include "cli/ladder.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

// The reference study's card: S = 2.7 s, 37 tok/s alone, 265.1 at batch 8.
LadderBasis Reference() { return {2700, 2960, 3018, 265.1 / 37, 265.1 / 170, 2.65, 50, 5}; }

TEST(LadderTest, PredictsTheStudysClassOfFailure) {
  const auto steps = PlanLadder(Reference(), false);
  ASSERT_EQ(steps[0].id, "A");
  EXPECT_EQ(steps[0].predicted_ok, 2);
  EXPECT_NEAR(*steps[0].predicted_gap, 93, 0.5);  // 13 x 7.16
  EXPECT_NEAR(steps[0].timeout_s, 2.6 * 2.7, 1e-9);
}

TEST(LadderTest, LeavesRoomForBothServersToBeSlowerOrFaster) {
  LadderBasis basis = Reference();
  EXPECT_EQ(ChooseTimeoutFactor(basis), 2.6);
  basis.latency_c_ms = 1.75 * basis.alone_ms;
  EXPECT_EQ(ChooseTimeoutFactor(basis), 2.6);
  basis.latency_c_ms = 1.9 * basis.alone_ms;
  EXPECT_EQ(ChooseTimeoutFactor(basis), 3.6);
  basis.latency_c_ms = 10 * basis.alone_ms;
  EXPECT_EQ(ChooseTimeoutFactor(basis), 4.6);
}

TEST(LadderTest, QuickTakesTheStepsThatShowIt) {
  const auto steps = PlanLadder(Reference(), true);
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0].id + steps[1].id + steps[2].id, "ADE");
}

TEST(LadderTest, BoundsTheQueueByWhatCanBeServedInTime) {
  const auto steps = PlanLadder(Reference(), true);
  // 0.9 x (7.02 s - 3.018 s) x 2.65/s = 9.5
  EXPECT_EQ(steps[2].server_flags.back(), "9");
}

}  // namespace
}  // namespace weir
