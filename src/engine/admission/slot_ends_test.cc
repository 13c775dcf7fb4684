#include "engine/admission/slot_ends.h"

#include <gtest/gtest.h>

#include <vector>

namespace weir {
namespace {

constexpr double kNear = 1e-6;
// A request holds its slot for 2 s, a token takes 10 ms.
constexpr SlotPace kPace{.request_seconds = 2, .token_seconds = 0.01};

TEST(SlotEndsTest, UncertainEndsAreSpreadEvenlyOverARequestsTime) {
  const std::vector<RunningOutput> running(4, {.most_left = 10000});
  for (int count = 1; count <= 4; ++count)
    EXPECT_NEAR(SecondsUntilFree(running, 0, kPace, count), 0.5 * count, kNear);
}

TEST(SlotEndsTest, CertainEndsComeWhenTheyAreDue) {
  const std::vector<RunningOutput> running = {{300, true}, {20, true}, {500, true}};
  EXPECT_NEAR(SecondsUntilFree(running, 0, kPace, 1), 0.2, kNear);
  EXPECT_NEAR(SecondsUntilFree(running, 0, kPace, 2), 3.0, kNear);
  EXPECT_NEAR(SecondsUntilFree(running, 0, kPace, 3), 5.0, kNear);
}

TEST(SlotEndsTest, NobodyRunsBeyondItsMaxTokens) {
  const std::vector<RunningOutput> running(2, {.most_left = 10});
  EXPECT_NEAR(SecondsUntilFree(running, 0, kPace, 2), 0.1, kNear);
}

TEST(SlotEndsTest, WhereNearlyAllAreCutOffTheyEndLate) {
  const std::vector<RunningOutput> running(4, {.most_left = 180});
  SlotPace pace = kPace;
  pace.cut_share = 1;
  EXPECT_NEAR(SecondsUntilFree(running, 0, pace, 1), 1.8, kNear);
  pace.cut_share = 0.5;  // half of four end evenly within two seconds
  EXPECT_NEAR(SecondsUntilFree(running, 0, pace, 1), 1.0, kNear);
}

TEST(SlotEndsTest, WhoBeginsNowHoldsItsSlotAsLongAsRequestsDo) {
  EXPECT_NEAR(SecondsUntilFree({}, 4, kPace, 1), 0.5, kNear);
  const std::vector<RunningOutput> running = {{1000, true}};
  EXPECT_NEAR(SecondsUntilFree(running, 1, kPace, 1), 2.0, kNear);
  SlotPace pace = kPace;
  pace.cut_share = 1;
  EXPECT_NEAR(SecondsUntilFree({}, 4, pace, 1), 2.0, kNear) << "together";
}

TEST(SlotEndsTest, FollowersHoldThemOnceMore) {
  const std::vector<RunningOutput> running = {{20, true}, {40, true}};
  EXPECT_NEAR(SecondsUntilFree(running, 0, kPace, 3), 2.2, kNear);
  EXPECT_NEAR(SecondsUntilFree(running, 0, kPace, 6), 4.4, kNear);
}

TEST(SlotEndsTest, WithoutAPaceLengthsSayNothing) {
  const std::vector<RunningOutput> running(2, {.most_left = 1, .is_certain = true});
  SlotPace pace = kPace;
  pace.token_seconds = 0;
  EXPECT_NEAR(SecondsUntilFree(running, 0, pace, 1), 1.0, kNear);
  pace.request_seconds = 0;
  EXPECT_EQ(SecondsUntilFree(running, 0, pace, 1), 0);
}

TEST(SlotEndsTest, NothingToWaitForTakesNoTime) {
  EXPECT_EQ(SecondsUntilFree({}, 0, kPace, 5), 0);
  const std::vector<RunningOutput> running(2, {.most_left = 100});
  EXPECT_EQ(SecondsUntilFree(running, 0, kPace, 0), 0);
  EXPECT_EQ(SecondsUntilFree(running, 0, kPace, -3), 0);
}

}  // namespace
}  // namespace weir
