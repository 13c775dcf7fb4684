#include "perf/report/slot_time.h"

#include <gtest/gtest.h>

#include <vector>

namespace weir {
namespace {

SlotTime Balance(double total_ms, double tokens, double decode_ms) {
  SlotTime balance;
  balance.concurrency = 5;
  balance.total_ms = total_ms;
  balance.good_tokens = tokens;
  balance.parts_ms["decode"] = decode_ms;
  balance.parts_ms["idle"] = total_ms - decode_ms;
  return balance;
}

TEST(SlotTimeTest, TurnsInWhichEitherSideStalledAreLeftOut) {
  std::vector<TurnPair> pairs;
  // Ratios 1.00 to 1.05, and the host stalled once in the server's turn and once in the engine's.
  for (int i = 0; i < 6; ++i) pairs.push_back({Balance(1000, 500, 900), Balance(1000 + 10 * i, 500, 900)});
  pairs.insert(pairs.begin(), {Balance(1000, 500, 900), Balance(9000, 500, 900)});
  pairs.insert(pairs.begin() + 3, {Balance(9000, 500, 900), Balance(1000, 500, 900)});
  const std::vector<TurnPair> middle = MiddleTurns(pairs);
  ASSERT_EQ(middle.size(), 4u);
  for (const TurnPair& pair : middle) {
    EXPECT_EQ(pair.direct.total_ms, 1000);
    EXPECT_LE(pair.api.total_ms, 1040);
  }
}

TEST(SlotTimeTest, TurnsWithoutTokensCountForNothing) {
  EXPECT_TRUE(MiddleTurns({{Balance(1000, 500, 900), Balance(1000, 0, 0)}}).empty());
  EXPECT_TRUE(MiddleTurns({{Balance(0, 500, 0), Balance(1000, 500, 900)}}).empty());
}

TEST(SlotTimeTest, ASumOfBalancesIsABalance) {
  const SlotTime sum = SumSlotTimes({Balance(1000, 500, 900), Balance(3000, 700, 2000)});
  EXPECT_EQ(sum.concurrency, 5);
  EXPECT_EQ(sum.total_ms, 4000);
  EXPECT_EQ(sum.good_tokens, 1200);
  EXPECT_EQ(sum.parts_ms.at("decode") + sum.parts_ms.at("idle"), sum.total_ms);
  const DirectSlots direct = DirectFrom(sum);
  EXPECT_EQ(direct.concurrency, 5);
  EXPECT_DOUBLE_EQ(direct.tps, 1200.0 * 5 / 4000 * 1000);
  EXPECT_DOUBLE_EQ(direct.ms_per_token.at("decode"), 2900.0 / 1200);
}

}  // namespace
}  // namespace weir
