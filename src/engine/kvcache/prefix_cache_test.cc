#include "engine/kvcache/prefix_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/kvcache/block_table.h"

namespace weir {
namespace {

std::vector<int32_t> Count(int first, int num_blocks) {
  std::vector<int32_t> tokens(static_cast<size_t>(num_blocks) * kBlockSize);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

std::vector<int32_t> Join(std::vector<int32_t> a, const std::vector<int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// A prompt with its blocks, as a sequence would hold them.
class Holder {
 public:
  Holder(PrefixCache* cache, BlockPool* pool, uint64_t salt, std::vector<int32_t> tokens)
      : cache_(cache),
        pool_(pool),
        salt_(salt),
        tokens_(std::move(tokens)),
        hashes_(cache->HashBlocks(salt_, tokens_)) {}
  ~Holder() { table_.Free(*pool_); }

  PromptPrefix prefix() const { return {salt_, tokens_, hashes_}; }
  int CountCached() const { return cache_->CountCached(prefix()); }
  // Takes what is there, computes and keeps the rest. Returns the number of blocks found.
  int Compute() {
    std::vector<BlockId> found;
    cache_->Find(prefix(), &found);
    table_.Adopt(*pool_, found);
    table_.Cover(*pool_, static_cast<int64_t>(tokens_.size()));
    KeepFrom(static_cast<int>(found.size()));
    return static_cast<int>(found.size());
  }
  // As if nothing had been found, because another computes the same at the same time.
  void ComputeAll() {
    table_.Cover(*pool_, static_cast<int64_t>(tokens_.size()));
    KeepFrom(0);
  }
  void Free() { table_.Free(*pool_); }
  std::span<const BlockId> blocks() const { return table_.blocks(); }

 private:
  void KeepFrom(int first) {
    for (int i = first; i < static_cast<int>(hashes_.size()); ++i) {
      const BlockId mine = table_.blocks()[i];
      const BlockId kept = cache_->Keep(prefix(), i, i == 0 ? kNoBlock : table_.blocks()[i - 1], mine);
      if (kept != mine) table_.Replace(*pool_, i, kept);
    }
  }

  PrefixCache* cache_;
  BlockPool* pool_;
  uint64_t salt_;
  std::vector<int32_t> tokens_;
  std::vector<uint64_t> hashes_;
  BlockTable table_;
};

// With all hashes of a prompt's own, and with one hash for all.
class PrefixCacheTest : public testing::TestWithParam<uint64_t> {
 protected:
  Holder Hold(uint64_t salt, std::vector<int32_t> tokens) {
    return Holder(&cache_, &pool_, salt, std::move(tokens));
  }
  void ExpectSound() {
    EXPECT_EQ(pool_.CheckInvariants(), "");
    EXPECT_EQ(cache_.CheckInvariants(), "");
  }

  BlockPool pool_{12};
  PrefixCache cache_{&pool_, GetParam()};
};

TEST_P(PrefixCacheTest, FindsTheLongestCommonStartInWholeBlocks) {
  Holder first = Hold(0, Count(0, 3));
  EXPECT_EQ(first.Compute(), 0);
  EXPECT_EQ(Hold(0, Join(Count(0, 2), Count(900, 2))).CountCached(), 2);
  std::vector<int32_t> partly = Count(0, 2);
  partly[kBlockSize + 7] = 5000;
  EXPECT_EQ(Hold(0, partly).CountCached(), 1);
  std::vector<int32_t> shorter = Count(0, 2);
  shorter.pop_back();
  EXPECT_EQ(Hold(0, shorter).CountCached(), 1);
  EXPECT_EQ(Hold(0, Count(1, 3)).CountCached(), 0);
  ExpectSound();
}

TEST_P(PrefixCacheTest, FindsABlockOnlyBehindTheVerySameOnes) {
  const std::vector<int32_t> a = Count(0, 1), b = Count(100, 1);
  Holder first = Hold(0, Join(a, b));
  first.Compute();
  EXPECT_EQ(Hold(0, Join(b, b)).CountCached(), 0);
  EXPECT_EQ(Hold(0, Join(a, a)).CountCached(), 1);
  EXPECT_EQ(Hold(0, b).CountCached(), 0);
}

TEST_P(PrefixCacheTest, SharesNothingBetweenSalts) {
  Holder mine = Hold(7, Count(0, 3));
  mine.Compute();
  Holder other = Hold(8, Count(0, 3));
  EXPECT_EQ(other.Compute(), 0);
  for (BlockId block : other.blocks()) {
    EXPECT_EQ(std::ranges::count(mine.blocks(), block), 0) << "block " << block << " is in both";
  }
  EXPECT_EQ(Hold(0, Count(0, 3)).CountCached(), 0);
  EXPECT_EQ(Hold(~uint64_t{0}, Count(0, 3)).CountCached(), 0);
  EXPECT_EQ(Hold(7, Count(0, 3)).CountCached(), 3);
  ExpectSound();
}

TEST_P(PrefixCacheTest, MakesOneBlockOfTwoThatWereComputedAtTheSameTime) {
  Holder first = Hold(0, Count(0, 2));
  Holder second = Hold(0, Join(Count(0, 2), Count(700, 1)));
  first.ComputeAll();
  second.ComputeAll();
  EXPECT_EQ(pool_.num_used(), 3);
  EXPECT_TRUE(std::ranges::equal(first.blocks(), second.blocks().first(2)));
  ExpectSound();
  first.Free();
  ExpectSound();
  EXPECT_EQ(Hold(0, Join(Count(0, 2), Count(700, 1))).CountCached(), 3);
}

TEST_P(PrefixCacheTest, KeepsWhatWasReleasedUntilTheBlockIsNeeded) {
  Holder first = Hold(0, Count(0, 3));
  first.Compute();
  first.Free();
  EXPECT_EQ(pool_.num_free(), 12);
  EXPECT_EQ(first.CountCached(), 3);
  Holder again = Hold(0, Count(0, 3));
  EXPECT_EQ(again.Compute(), 3);
  EXPECT_EQ(pool_.num_used(), 3);
  again.Free();
  Holder large = Hold(0, Count(5000, 12));
  EXPECT_EQ(large.Compute(), 0);
  EXPECT_EQ(first.CountCached(), 0);
  EXPECT_EQ(cache_.num_blocks(), 12);
  ExpectSound();
}

TEST_P(PrefixCacheTest, EvictsTheLongestUnusedFirstAndItsLastBlocksBeforeItsFirst) {
  Holder old = Hold(0, Count(0, 4)), recent = Hold(0, Count(1000, 4));
  old.Compute();
  recent.Compute();
  recent.Free();
  old.Free();
  Holder used_again = Hold(0, Count(1000, 4));
  EXPECT_EQ(used_again.Compute(), 4);
  used_again.Free();
  Holder fresh = Hold(0, Count(3000, 6));  // 4 blocks were never used
  fresh.Compute();
  EXPECT_EQ(old.CountCached(), 2);
  EXPECT_EQ(recent.CountCached(), 4);
  ExpectSound();
}

TEST_P(PrefixCacheTest, NeverEvictsABlockInUse) {
  Holder mine = Hold(0, Count(0, 4));
  mine.Compute();
  Holder others = Hold(0, Count(2000, 8));
  others.Compute();
  EXPECT_FALSE(pool_.CanAllocate(1));
  EXPECT_EQ(mine.CountCached(), 4);
  EXPECT_EQ(others.CountCached(), 8);
}

// Every block found must hold exactly the tokens, and all those before them, of whoever finds it.
TEST_P(PrefixCacheTest, EveryFoundBlockHoldsWhatWasAskedForUnderRandomUse) {
  Rng rng(5);
  std::vector<std::string> contents(12);  // by block: salt and everything up to its end
  std::vector<std::unique_ptr<Holder>> holders(4);
  int64_t num_found = 0, num_evicted = 0;
  for (int round = 0; round < 3000; ++round) {
    std::unique_ptr<Holder>& holder = holders[rng.NextBelow(holders.size())];
    holder.reset();
    if (rng.NextBelow(3) == 0) continue;
    std::vector<int32_t> tokens;
    const int length = 1 + static_cast<int>(rng.NextBelow(5));
    for (int i = 0; i < length; ++i)
      tokens = Join(tokens, Count(100 * static_cast<int>(rng.NextBelow(2)), 1));
    const uint64_t salt = rng.NextBelow(2);
    if (!pool_.CanAllocate(length)) continue;
    const int before = cache_.num_blocks();
    holder = std::make_unique<Holder>(&cache_, &pool_, salt, tokens);
    const int found = holder->Compute();
    num_found += found;
    num_evicted += before + length - found > cache_.num_blocks() ? 1 : 0;
    for (int i = 0; i < length; ++i) {
      std::string content = std::to_string(salt);
      for (int token = 0; token < (i + 1) * kBlockSize; ++token)
        content += "," + std::to_string(tokens[token]);
      std::string& held = contents[holder->blocks()[i]];
      if (i < found) {
        ASSERT_EQ(held, content) << "round " << round;
      }
      held = content;
    }
    ASSERT_EQ(pool_.CheckInvariants(), "");
    ASSERT_EQ(cache_.CheckInvariants(), "");
  }
  EXPECT_GT(num_found, 500);
  EXPECT_GT(num_evicted, 100);
  holders.clear();
  EXPECT_EQ(pool_.num_free(), 12);
}

INSTANTIATE_TEST_SUITE_P(Hashes, PrefixCacheTest, testing::Values(~uint64_t{0}, uint64_t{0}),
                         [](const auto& param) { return param.param == 0 ? "Colliding" : "Distinct"; });

}  // namespace
}  // namespace weir
