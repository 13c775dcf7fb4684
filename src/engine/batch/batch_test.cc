#include "engine/batch/batch.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace weir {
namespace {

class BatchTest : public testing::Test {
 protected:
  BatchTest() : pool_(16), tokens_(100) { std::iota(tokens_.begin(), tokens_.end(), 1000); }
  ~BatchTest() override {
    first_.Free(pool_);
    second_.Free(pool_);
  }

  BlockPool pool_;
  std::vector<int32_t> tokens_;
  BlockTable first_;
  BlockTable second_;
  Batch batch_;
};

TEST_F(BatchTest, PrefillChunkInTheMiddleOfASequenceTakesItsTokensPositionsAndSlots) {
  first_.Cover(pool_, 40);
  batch_.AddSequence(TokenOrigin::kPrompt, tokens_.data(), 14, 5, first_, false);
  EXPECT_EQ(batch_.tokens, std::vector<int32_t>({1014, 1015, 1016, 1017, 1018}));
  EXPECT_EQ(batch_.positions, std::vector<int32_t>({14, 15, 16, 17, 18}));
  for (int i = 0; i < 5; ++i) {
    const int position = 14 + i;
    const BlockId block = first_.blocks()[static_cast<size_t>(position / kBlockSize)];
    EXPECT_EQ(batch_.slots[static_cast<size_t>(i)], int64_t{block} * kBlockSize + position % kBlockSize);
  }
  ASSERT_EQ(batch_.sequences.size(), 1u);
  EXPECT_EQ(batch_.sequences[0].context_length, 19);
  EXPECT_EQ(batch_.sequences[0].num_blocks, 2) << "only the blocks that this step reads, not the third";
  EXPECT_TRUE(batch_.logit_rows.empty());
}

TEST_F(BatchTest, SequencesFollowOneAnotherInRowsAndBlocks) {
  first_.Cover(pool_, 17);
  second_.Cover(pool_, 20);
  batch_.AddSequence(TokenOrigin::kPrompt, tokens_.data(), 16, 1, first_, true);
  batch_.AddSequence(TokenOrigin::kPrompt, tokens_.data(), 0, 20, second_, true);
  ASSERT_EQ(batch_.sequences.size(), 2u);
  EXPECT_EQ(batch_.num_rows(), 21);
  EXPECT_EQ(batch_.sequences[1].first_row, 1);
  EXPECT_EQ(batch_.sequences[1].num_rows, 20);
  EXPECT_EQ(batch_.sequences[1].first_block, 2);
  EXPECT_EQ(batch_.block_ids.size(), 4u);
  EXPECT_EQ(batch_.block_ids[1], first_.blocks()[1]);
  EXPECT_EQ(batch_.block_ids[2], second_.blocks()[0]);
  EXPECT_EQ(batch_.logit_rows, std::vector<int32_t>({0, 20}));
}

TEST_F(BatchTest, LogitRowsKeepTheirSequencesPositionsAndOrigins) {
  BlockTable third;
  first_.Cover(pool_, 40);
  second_.Cover(pool_, 20);
  third.Cover(pool_, 8);
  batch_.AddSequence(TokenOrigin::kPrompt, tokens_.data(), 0, 30, first_, false);
  batch_.AddSequence(TokenOrigin::kPrompt, tokens_.data(), 4, 16, second_, true, false, 3);
  batch_.AddSequence(TokenOrigin::kPrompt, tokens_.data(), 2, 3, third, true, true);
  batch_.AddSequence(TokenOrigin::kGenerated, tokens_.data(), 39, 1, first_, true);
  Batch rows;
  rows.AddSequence(TokenOrigin::kGenerated, tokens_.data(), 1, 2, first_, true);  // forgotten
  rows.TakeLogitRows(batch_);
  EXPECT_EQ(rows.num_rows(), 5);
  EXPECT_EQ(rows.positions, std::vector<int32_t>({19, 2, 3, 4, 39}));
  EXPECT_EQ(rows.logit_rows, std::vector<int32_t>({0, 1, 2, 3, 4}));
  EXPECT_EQ(rows.num_prompt_rows, 4);
  ASSERT_EQ(rows.sequences.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(rows.sequences[i].first_block, batch_.sequences[i + 1].first_block);
    EXPECT_EQ(rows.sequences[i].num_blocks, batch_.sequences[i + 1].num_blocks);
    EXPECT_EQ(rows.sequences[i].context_length, batch_.sequences[i + 1].context_length);
    EXPECT_EQ(rows.sequences[i].adapter, batch_.sequences[i + 1].adapter);
  }
  EXPECT_EQ(rows.sequences[0].num_rows, 1);
  EXPECT_EQ(rows.sequences[1].first_row, 1);
  EXPECT_EQ(rows.sequences[1].num_rows, 3);
  EXPECT_EQ(rows.sequences[2].first_row, 4);
  third.Free(pool_);
}

TEST_F(BatchTest, AllLogitsNameEveryRowOnce) {
  first_.Cover(pool_, 4);
  second_.Cover(pool_, 2);
  batch_.AddSequence(TokenOrigin::kPrompt, tokens_.data(), 0, 2, second_, false);
  batch_.AddSequence(TokenOrigin::kPrompt, tokens_.data(), 1, 3, first_, true, true);
  EXPECT_EQ(batch_.logit_rows, std::vector<int32_t>({2, 3, 4}));
}

TEST_F(BatchTest, CountsTheRowsOfPromptsBeforeGeneratedOnes) {
  first_.Cover(pool_, 4);
  second_.Cover(pool_, 6);
  batch_.AddSequence(TokenOrigin::kPrompt, tokens_.data(), 0, 4, first_, true);
  batch_.AddSequence(TokenOrigin::kGenerated, tokens_.data(), 5, 1, second_, true);
  EXPECT_EQ(batch_.num_prompt_rows, 4);
  EXPECT_EQ(batch_.num_rows(), 5);
  batch_.Clear();
  EXPECT_EQ(batch_.num_prompt_rows, 0);
}

TEST_F(BatchTest, ClearLeavesNothingBehind) {
  first_.Cover(pool_, 4);
  batch_.AddSequence(TokenOrigin::kPrompt, tokens_.data(), 0, 4, first_, true);
  batch_.Clear();
  EXPECT_EQ(batch_.num_rows(), 0);
  EXPECT_TRUE(batch_.positions.empty() && batch_.slots.empty() && batch_.sequences.empty() &&
              batch_.block_ids.empty() && batch_.logit_rows.empty());
}

}  // namespace
}  // namespace weir
