#include "server/memory_ladder.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

constexpr int64_t kLimit = 10000;

TEST(MemoryLadderTest, ClimbsAtNinetyTwoAndNinetyFivePercent) {
  MemoryLadder ladder;
  EXPECT_EQ(ladder.Observe(9199, kLimit), MemoryStep::kNone);
  EXPECT_EQ(ladder.Observe(9200, kLimit), MemoryStep::kSpare);
  EXPECT_EQ(ladder.Observe(9499, kLimit), MemoryStep::kSpare);
  EXPECT_EQ(ladder.Observe(9500, kLimit), MemoryStep::kRefuse);
}

TEST(MemoryLadderTest, EachStepEndsTwoPointsBelowItsBeginning) {
  MemoryLadder ladder;
  ladder.Observe(9600, kLimit);
  EXPECT_EQ(ladder.Observe(9300, kLimit), MemoryStep::kRefuse);
  EXPECT_EQ(ladder.Observe(9299, kLimit), MemoryStep::kSpare);
  EXPECT_EQ(ladder.Observe(9400, kLimit), MemoryStep::kSpare) << "it has to reach 95 % again";
  EXPECT_EQ(ladder.Observe(9000, kLimit), MemoryStep::kSpare);
  EXPECT_EQ(ladder.Observe(8999, kLimit), MemoryStep::kNone);
}

TEST(MemoryLadderTest, FallsAllTheWayAtOnce) {
  MemoryLadder ladder;
  ladder.Observe(9900, kLimit);
  EXPECT_EQ(ladder.Observe(5000, kLimit), MemoryStep::kNone);
}

TEST(MemoryLadderTest, WithoutALimitThereIsNoPressure) {
  MemoryLadder ladder;
  EXPECT_EQ(ladder.Observe(int64_t{1} << 60, 0), MemoryStep::kNone);
}

}  // namespace
}  // namespace weir
