#include "perf/driver/batch_sizes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

SequenceRoom RoomOf(int64_t sequences, int max_num_seqs = 1024) {
  return {.budget_bytes = sequences * 1000 + 999,
          .bytes_per_sequence = 1000,
          .tokens_per_context = 4096,
          .max_num_seqs = max_num_seqs};
}

TEST(BatchSizesTest, NumbersAndMaxAreRead) {
  const Result<BatchSizes> sizes = ParseBatchSizes({"4", "8", "max"});
  ASSERT_TRUE(sizes.has_value());
  EXPECT_THAT(sizes->listed, ElementsAre(4, 8));
  EXPECT_TRUE(sizes->up_to_max);
  EXPECT_FALSE(ParseBatchSizes({"1"})->up_to_max);
  EXPECT_TRUE(ParseBatchSizes({"max"})->listed.empty());
}

TEST(BatchSizesTest, AnythingElseIsRefusedWithTheFormsThereAre) {
  for (const char* word : {"0", "-4", "4x", "", "Max", "99999999999", "1.5"}) {
    const Result<BatchSizes> sizes = ParseBatchSizes({"1", word});
    ASSERT_FALSE(sizes.has_value()) << word;
    EXPECT_THAT(sizes.error().message(), HasSubstr("or 'max'")) << word;
  }
  EXPECT_FALSE(ParseBatchSizes({}).has_value());
}

TEST(BatchSizesTest, MaxDoublesFromSixteenUntilMemoryIsFull) {
  const BatchPlan plan = PlanBatches({{}, true}, RoomOf(127));
  EXPECT_THAT(plan.batch_sizes, ElementsAre(16, 32, 64));
  EXPECT_EQ(plan.stop, BatchStop::kMemory);
  EXPECT_EQ(plan.next, 128);
  EXPECT_THAT(PlanBatches({{}, true}, RoomOf(128)).batch_sizes, ElementsAre(16, 32, 64, 128));
}

TEST(BatchSizesTest, MaxGoesOnFromTheLargestListedSize) {
  EXPECT_THAT(PlanBatches({{4, 8}, true}, RoomOf(40)).batch_sizes, ElementsAre(4, 8, 16, 32));
  EXPECT_THAT(PlanBatches({{32, 1}, true}, RoomOf(70)).batch_sizes, ElementsAre(32, 1, 64));
  EXPECT_THAT(PlanBatches({{24}, true}, RoomOf(70)).batch_sizes, ElementsAre(24, 32, 64));
}

TEST(BatchSizesTest, TheEnginesOwnBoundStopsWhereMemoryDoesNot) {
  const BatchPlan plan = PlanBatches({{8}, true}, RoomOf(100000, 64));
  EXPECT_THAT(plan.batch_sizes, ElementsAre(8, 16, 32, 64));
  EXPECT_EQ(plan.stop, BatchStop::kMaxNumSeqs);
  EXPECT_EQ(plan.next, 128);
  // Where both would stop the next step, memory is the reason: raising the other alone would not help.
  EXPECT_EQ(PlanBatches({{8}, true}, RoomOf(100, 64)).stop, BatchStop::kMemory);
}

TEST(BatchSizesTest, WhatWasListedStaysWhereNothingMoreFits) {
  const BatchPlan plan = PlanBatches({{4, 8}, true}, RoomOf(5));
  EXPECT_THAT(plan.batch_sizes, ElementsAre(4, 8));
  EXPECT_EQ(plan.next, 16);
}

TEST(BatchSizesTest, MaxAloneGivesASmallerSizeWhereSixteenDoNotFit) {
  const BatchPlan plan = PlanBatches({{}, true}, RoomOf(7));
  EXPECT_THAT(plan.batch_sizes, ElementsAre(4));
  EXPECT_EQ(plan.next, 8);
  EXPECT_THAT(PlanBatches({{}, true}, RoomOf(1)).batch_sizes, ElementsAre(1));
  EXPECT_THAT(PlanBatches({{}, true}, RoomOf(0)).batch_sizes, ElementsAre(1));
}

TEST(BatchSizesTest, TheLimitIsToldWithWhatTheNextStepNeeds) {
  const Json limit = ToJson(PlanBatches({{4}, true}, RoomOf(100)));
  EXPECT_EQ(limit["stopped_by"], "memory");
  EXPECT_EQ(limit["sequences_that_fit"], 100);
  EXPECT_EQ(limit["largest"], 64);
  EXPECT_EQ(limit["next"]["batch_size"], 128);
  EXPECT_EQ(limit["next"]["bytes"], 128000);
  EXPECT_EQ(limit["budget_bytes"], 100999);
}

}  // namespace
}  // namespace weir
