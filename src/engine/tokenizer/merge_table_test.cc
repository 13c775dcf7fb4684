#include "engine/tokenizer/merge_table.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "base/rng.h"

namespace weir {
namespace {

// Byte pair encoding as it is defined: the earliest merge there is, the leftmost of its places, again and again.
std::vector<int32_t> Defined(const MergeTable& table, std::vector<int32_t> tokens) {
  while (true) {
    size_t best = 0;
    const MergeTable::Merge* first = nullptr;
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      const MergeTable::Merge* merge = table.Find(tokens[i], tokens[i + 1]);
      if (merge == nullptr || (first != nullptr && merge->rank >= first->rank)) continue;
      first = merge;
      best = i;
    }
    if (first == nullptr) return tokens;
    tokens[best] = first->result;
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

// Merges of any two tokens, also of those that a later merge makes, some of them with one rank.
MergeTable RandomTable(Rng& rng, int num_letters, int num_merges, uint64_t num_ranks) {
  MergeTable table;
  for (int i = 0; i < num_merges; ++i) {
    const auto known = static_cast<uint64_t>(num_letters + num_merges);
    // Mostly of the first tokens, which there are.
    const auto left = static_cast<int32_t>(rng.NextBelow(1 + rng.NextBelow(1 + rng.NextBelow(known))));
    const auto right = static_cast<int32_t>(rng.NextBelow(1 + rng.NextBelow(1 + rng.NextBelow(known))));
    if (table.Find(left, right) != nullptr) continue;
    const auto rank =
        static_cast<int32_t>(num_ranks == 0 ? static_cast<uint64_t>(i) : rng.NextBelow(num_ranks));
    table.Add(left, right, {rank, num_letters + i});
  }
  return table;
}

class MergeTableTest : public testing::TestWithParam<uint64_t> {};

TEST_P(MergeTableTest, LongTextsMergeAsDefined) {
  Rng rng(GetParam());
  for (int round = 0; round < 300; ++round) {
    const int num_letters = 1 + static_cast<int>(rng.NextBelow(4));
    const int num_merges = 1 + static_cast<int>(rng.NextBelow(60));
    const MergeTable table = RandomTable(rng, num_letters, num_merges, rng.NextBelow(3) * 8);
    std::vector<int32_t> tokens(40 + rng.NextBelow(200));
    const uint64_t run = 1 + rng.NextBelow(30);
    for (size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = i > 0 && rng.NextBelow(run) > 0
                      ? tokens[i - 1]
                      : static_cast<int32_t>(rng.NextBelow(static_cast<uint64_t>(num_letters)));
    std::vector<int32_t> merged = tokens;
    table.MergeAll(&merged);
    ASSERT_EQ(merged, Defined(table, tokens)) << "round " << round;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, MergeTableTest, testing::Range<uint64_t>(1, 6));

TEST(MergeTable, TellsTheEarliestMergeThatATokenIsPartOf) {
  MergeTable table;
  table.Add(1, 2, {7, 5});
  table.Add(2, 3, {4, 6});
  EXPECT_EQ(table.EarliestUse(1), 7);
  EXPECT_EQ(table.EarliestUse(2), 4);
  EXPECT_EQ(table.EarliestUse(3), 4);
  EXPECT_EQ(table.EarliestUse(6), std::numeric_limits<int32_t>::max());
}

}  // namespace
}  // namespace weir
