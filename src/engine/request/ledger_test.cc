#include "engine/request/ledger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "base/rng.h"

namespace weir {
namespace {

TimePoint At(int64_t ns) { return TimePoint(Duration(ns)); }

Duration Sum(const Ledger& ledger) {
  Duration sum{};
  for (int i = 0; i < kNumStages; ++i) sum += ledger.stage(static_cast<Stage>(i));
  return sum;
}

TEST(LedgerTest, ChargesTheTimeToTheStageThatWasCurrent) {
  Ledger ledger;
  ledger.Begin(At(100), Stage::kRecv);
  ledger.Enter(Stage::kParse, At(130));
  ledger.Enter(Stage::kPrefill, At(150));
  ledger.Close(At(250));
  EXPECT_EQ(ledger.stage(Stage::kRecv), Duration(30));
  EXPECT_EQ(ledger.stage(Stage::kParse), Duration(20));
  EXPECT_EQ(ledger.stage(Stage::kPrefill), Duration(100));
  EXPECT_EQ(ledger.wall(), Duration(150));
}

TEST(LedgerTest, KeepsTheAccountUpToTheFirstToken) {
  Ledger ledger;
  ledger.Begin(At(100), Stage::kRecv);
  ledger.Enter(Stage::kPrefill, At(130));
  ledger.NoteFirstToken(At(150));
  ledger.Enter(Stage::kDecode, At(170));
  ledger.Close(At(250));
  EXPECT_EQ(ledger.first_token, At(150));
  EXPECT_EQ(ledger.to_first(Stage::kRecv), Duration(30));
  EXPECT_EQ(ledger.to_first(Stage::kPrefill), Duration(20));
  EXPECT_EQ(ledger.to_first(Stage::kDecode), Duration(0));
  EXPECT_EQ(ledger.stage(Stage::kPrefill), Duration(40));
}

TEST(LedgerTest, SplitsAnIntervalBetweenTwoStages) {
  Ledger ledger;
  ledger.Begin(At(0), Stage::kDecode);
  ledger.EnterSplit(Stage::kSample, At(100), Stage::kStallPrefill, Duration(40));
  EXPECT_EQ(ledger.stage(Stage::kDecode), Duration(60));
  EXPECT_EQ(ledger.stage(Stage::kStallPrefill), Duration(40));
  EXPECT_EQ(ledger.current(), Stage::kSample);
}

TEST(LedgerTest, HoldsASplitInsideTheInterval) {
  Ledger ledger;
  ledger.Begin(At(0), Stage::kDecode);
  ledger.EnterSplit(Stage::kDecode, At(10), Stage::kStallPrefill, Duration(99));
  ledger.EnterSplit(Stage::kDecode, At(20), Stage::kStallPrefill, Duration(-99));
  EXPECT_EQ(ledger.stage(Stage::kStallPrefill), Duration(10));
  EXPECT_EQ(ledger.stage(Stage::kDecode), Duration(10));
}

TEST(LedgerTest, StagesSumToTheWallTimeWhateverTheOrder) {
  Rng rng(7);
  for (int round = 0; round < 200; ++round) {
    Ledger ledger;
    int64_t now = 1000;
    ledger.Begin(At(now), Stage::kRecv);
    for (int i = 0; i < 50; ++i) {
      now += static_cast<int64_t>(rng.NextBelow(1000)) - 50;  // now and then a reading from before the last
      const Stage stage = static_cast<Stage>(rng.NextBelow(kNumStages));
      if (rng.NextBelow(2) == 0) {
        ledger.Enter(stage, At(now));
      } else {
        ledger.EnterSplit(stage, At(now), Stage::kStallPrefill, Duration(rng.NextBelow(1500)));
      }
      ASSERT_EQ(Sum(ledger), ledger.wall());
    }
    for (int i = 0; i < kNumStages; ++i) ASSERT_GE(ledger.stage(static_cast<Stage>(i)), Duration::zero());
  }
}

TEST(LedgerTest, BeginsByItselfWhenNobodyDid) {
  Ledger ledger;
  ledger.Enter(Stage::kHandoff, At(500));
  ledger.Enter(Stage::kPrefill, At(600));
  EXPECT_TRUE(ledger.begun());
  EXPECT_EQ(ledger.stage(Stage::kHandoff), Duration(100));
}

TEST(LedgerTest, EveryStageHasItsOwnName) {
  std::set<std::string_view> names;
  for (int i = 0; i < kNumStages; ++i) names.insert(StageName(static_cast<Stage>(i)));
  EXPECT_EQ(names.size(), static_cast<size_t>(kNumStages));
  EXPECT_EQ(names.count(""), 0u);
  EXPECT_EQ(StageName(Stage::kQueueSlot), "queue_slot");
  EXPECT_EQ(StageName(Stage::kOutputBlocked), "output_blocked");
  EXPECT_EQ(StageName(Stage::kOther), "other");
}

}  // namespace
}  // namespace weir
