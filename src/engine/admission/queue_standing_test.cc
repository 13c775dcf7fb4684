#include "engine/admission/queue_standing.h"

#include <gtest/gtest.h>

#include <vector>

namespace weir {
namespace {

QueuedFlow Flow(double weight, int num_sequences, RequestClass service_class = RequestClass::kDefault) {
  return {.service_class = service_class,
          .weight = weight,
          .num_sequences = num_sequences,
          .tokens = num_sequences * 100};
}

TEST(QueueStandingTest, AloneEverythingOfItsOwnIsAhead) {
  const std::vector<QueuedFlow> flows = {Flow(4, 7)};
  const QueueStanding standing = StandingOf(flows, 0, false);
  EXPECT_EQ(standing.num_ahead, 7);
  EXPECT_EQ(standing.tokens_ahead, 700);
}

TEST(QueueStandingTest, AnotherOwnersBacklogIsAheadOnlyAsFarAsItsTurnsGo) {
  const std::vector<QueuedFlow> flows = {Flow(4, 2), Flow(4, 50), Flow(8, 50), Flow(4, 1)};
  const QueueStanding standing = StandingOf(flows, 0, false);
  EXPECT_EQ(standing.num_ahead, 2 + 2 + 4 + 1);
  EXPECT_EQ(standing.tokens_ahead, 900);
  EXPECT_EQ(StandingOf(std::vector<QueuedFlow>{Flow(4, 0), Flow(4, 50)}, 0, false).num_ahead, 0);
}

TEST(QueueStandingTest, AClassMayFillItsShareAndARetryThatOfTheNextLower) {
  const std::vector<QueuedFlow> flows = {Flow(8, 0, RequestClass::kInteractive), Flow(4, 0),
                                         Flow(2, 0, RequestClass::kBatch),
                                         Flow(1, 0, RequestClass::kSheddable)};
  EXPECT_EQ(StandingOf(flows, 0, false).share, 1.0);
  EXPECT_EQ(StandingOf(flows, 1, false).share, 0.9);
  EXPECT_EQ(StandingOf(flows, 2, false).share, 0.5);
  EXPECT_EQ(StandingOf(flows, 3, false).share, 0.25);
  EXPECT_EQ(StandingOf(flows, 0, true).share, 0.9);
  EXPECT_EQ(StandingOf(flows, 3, true).share, 0.25);
}

TEST(QueueStandingTest, WhoIsMostAboveItsShareMakesRoomForWhoIsBelow) {
  EXPECT_EQ(FlowToEvict(std::vector<QueuedFlow>{Flow(4, 2), Flow(4, 20), Flow(4, 50)}, 0), 2);
  // Twice the weight may hold twice as much.
  EXPECT_EQ(FlowToEvict(std::vector<QueuedFlow>{Flow(4, 2), Flow(4, 30), Flow(16, 50)}, 0), 1);
}

TEST(QueueStandingTest, NobodyMakesRoomForWhoHasItsShare) {
  EXPECT_EQ(FlowToEvict(std::vector<QueuedFlow>{Flow(4, 20)}, 0), -1);
  EXPECT_EQ(FlowToEvict(std::vector<QueuedFlow>{Flow(4, 20), Flow(4, 20)}, 0), -1);
  EXPECT_EQ(FlowToEvict(std::vector<QueuedFlow>{Flow(4, 20), Flow(4, 18)}, 1), 0);
}

TEST(QueueStandingTest, AHigherClassMakesNoRoomForALower) {
  const QueuedFlow interactive = Flow(8, 50, RequestClass::kInteractive);
  const QueuedFlow batch = Flow(2, 0, RequestClass::kBatch);
  EXPECT_EQ(FlowToEvict(std::vector<QueuedFlow>{batch, interactive}, 0), -1);
  EXPECT_EQ(FlowToEvict(std::vector<QueuedFlow>{Flow(8, 0, RequestClass::kInteractive),
                                                Flow(2, 9, RequestClass::kBatch)},
                        0),
            1);
}

TEST(QueueStandingTest, WhoWasToldToLeaveIsNotToldTwice) {
  std::vector<QueuedFlow> flows = {Flow(4, 0), Flow(4, 3)};
  int num_told = 0;
  while (FlowToEvict(flows, 0) == 1) {
    ++flows[1].num_evicting;
    ++flows[0].num_sequences;
    ++num_told;
    ASSERT_LT(num_told, 10);
  }
  EXPECT_EQ(num_told, 1);  // then both have two of four, or one of three
}

}  // namespace
}  // namespace weir
