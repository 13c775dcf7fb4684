#include "engine/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir {
namespace {

constexpr int64_t kMib = 1 << 20;

KvDemand Demand() {
  return {.bytes_per_block = kMib, .tokens_per_context = 1600, .max_num_seqs = 4, .model_bytes = 500 * kMib};
}

TEST(MemoryPlanTest, TakesNoMoreThanEverySequenceCanUse) {
  const auto blocks = PlanKvBlocks({.total_bytes = 100000 * kMib, .available_bytes = 90000 * kMib}, Demand());
  ASSERT_TRUE(blocks.has_value());
  EXPECT_EQ(*blocks, 4 * 100);
}

TEST(MemoryPlanTest, ALimitOfTheProcessCountsAsItsMachine) {
  const MachineMemory all = ReadMachineMemory();
  const int64_t limit = all.total_bytes / 2;
  const MachineMemory limited = ReadMachineMemory(limit);
  EXPECT_EQ(limited.total_bytes, limit);
  EXPECT_LE(limited.available_bytes, limit);
  EXPECT_GT(ReadOwnMemory(), 0);
  EXPECT_EQ(ReadMachineMemory(2 * all.total_bytes).total_bytes, all.total_bytes);
  EXPECT_EQ(ReadMachineMemory(1).available_bytes, 0) << "more is used already";
}

TEST(MemoryPlanTest, StaysInsideItsShareOfTheMachine) {
  const auto blocks = PlanKvBlocks({.total_bytes = 1000 * kMib, .available_bytes = 10000 * kMib}, Demand());
  ASSERT_TRUE(blocks.has_value());
  EXPECT_EQ(*blocks, 900 - 500);
  const auto scarce = PlanKvBlocks({.total_bytes = 10000 * kMib, .available_bytes = 200 * kMib}, Demand());
  ASSERT_TRUE(scarce.has_value());
  EXPECT_EQ(*scarce, 180);
}

TEST(MemoryPlanTest, AutomaticSequencesFollowTheThreads) {
  const SequenceRoom ample{
      .budget_bytes = 1000000 * kMib, .bytes_per_sequence = 100 * kMib, .tokens_per_context = 8192};
  EXPECT_EQ(AutoMaxNumSeqs(ample, 1), 32);
  EXPECT_EQ(AutoMaxNumSeqs(ample, 2), 32);
  EXPECT_EQ(AutoMaxNumSeqs(ample, 6), 96);
  EXPECT_EQ(AutoMaxNumSeqs(ample, 64), 256);
  EXPECT_EQ(DescribeAutoMaxNumSeqs(ample, 6), "96, by 6 threads");
}

TEST(MemoryPlanTest, AutomaticSequencesFindRoomForAUsualLengthEach) {
  // A quarter of the context counts as usual: 25 MiB each.
  const SequenceRoom scarce{
      .budget_bytes = 500 * kMib, .bytes_per_sequence = 100 * kMib, .tokens_per_context = 8192};
  EXPECT_EQ(AutoMaxNumSeqs(scarce, 2), 20);
  EXPECT_EQ(DescribeAutoMaxNumSeqs(scarce, 2), "20, for which there is KV cache");
  const SequenceRoom short_contexts{
      .budget_bytes = 500 * kMib, .bytes_per_sequence = 100 * kMib, .tokens_per_context = 1024};
  EXPECT_EQ(AutoMaxNumSeqs(short_contexts, 2), 5);
  EXPECT_EQ(AutoMaxNumSeqs({.budget_bytes = 0, .bytes_per_sequence = kMib, .tokens_per_context = 64}, 2), 1);
}

TEST(MemoryPlanTest, LeavesRoomForWeightsThatStayInTheirFile) {
  KvDemand demand = Demand();
  demand.model_bytes = 0;
  demand.mapped_bytes = 300 * kMib;
  const auto blocks = PlanKvBlocks({.total_bytes = 10000 * kMib, .available_bytes = 500 * kMib}, demand);
  ASSERT_TRUE(blocks.has_value());
  EXPECT_EQ(*blocks, 450 - 300);
}

TEST(MemoryPlanTest, RefusesWhenOneContextDoesNotFit) {
  const auto blocks = PlanKvBlocks({.total_bytes = 600 * kMib, .available_bytes = 10000 * kMib}, Demand());
  ASSERT_FALSE(blocks.has_value());
  EXPECT_EQ(blocks.error().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(blocks.error().message(), testing::HasSubstr("1600 tokens needs 100 MiB"));
  EXPECT_THAT(blocks.error().message(), testing::HasSubstr("40 MiB are left"));
}

TEST(MemoryPlanTest, TakesTheSizeThatWasAskedFor) {
  KvDemand demand = Demand();
  demand.requested_bytes = 7 * kMib + 5;
  const auto blocks = PlanKvBlocks({}, demand);
  ASSERT_TRUE(blocks.has_value());
  EXPECT_EQ(*blocks, 7);
  demand.requested_bytes = 5;
  EXPECT_EQ(PlanKvBlocks({}, demand).error().code(), StatusCode::kInvalidArgument);
}

TEST(MemoryPlanTest, PlansBesideWeightsThatAreNotLoadedYetAsItWillOnceTheyAre) {
  // The machine is the bound: 900 of 1000 are offered, 500 go to the weights.
  EXPECT_EQ(BudgetBeside(500 * kMib, {.total_bytes = 1000 * kMib, .available_bytes = 10000 * kMib}, 0.9),
            400 * kMib);
  // What others use is the bound: 700 are free, 200 will be beside the weights, 100 of them are offered.
  EXPECT_EQ(BudgetBeside(500 * kMib, {.total_bytes = 10000 * kMib, .available_bytes = 700 * kMib}, 0.5),
            100 * kMib);
  EXPECT_EQ(BudgetBeside(500 * kMib, {.total_bytes = 400 * kMib, .available_bytes = 400 * kMib}, 0.9), 0);
}

TEST(MemoryPlanTest, ReadsThisMachine) {
  const MachineMemory memory = ReadMachineMemory();
  EXPECT_GT(memory.total_bytes, 64 * kMib);
  EXPECT_GT(memory.available_bytes, 0);
  EXPECT_LE(memory.available_bytes, memory.total_bytes);
}

}  // namespace
}  // namespace weir
