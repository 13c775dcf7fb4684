#include "engine/model/attention_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/kernels/attention.h"

namespace weir {
namespace {

AttentionPlan::Sizes SizesFor(int num_threads) {
  return {.max_rows = 512,
          .num_heads = 9,
          .num_kv_heads = 3,
          .head_dim = 64,
          .max_context = 8192,
          .num_threads = num_threads};
}

// Sequences of (context, rows in this step).
struct Step {
  explicit Step(const std::vector<std::pair<int, int>>& sequences) : pool(4096), tables(sequences.size()) {
    const std::vector<int32_t> tokens(8192, 1);
    for (size_t i = 0; i < sequences.size(); ++i) {
      tables[i].Cover(pool, sequences[i].first);
      batch.AddSequence(TokenOrigin::kPrompt, tokens.data(), sequences[i].first - sequences[i].second,
                        sequences[i].second, tables[i], true);
    }
  }
  ~Step() {
    for (BlockTable& table : tables) table.Free(pool);
  }
  BlockPool pool;
  std::vector<BlockTable> tables;
  Batch batch;
};

// Every chunk of every tile in one task, every row of the batch with every head in one tile.
void ExpectComplete(const AttentionPlan& plan, const Batch& batch) {
  std::map<int, std::set<int>> chunks;
  std::map<int, int> num_tasks;
  for (const AttentionTask& task : plan.tasks()) {
    ++num_tasks[task.tile];
    ASSERT_LT(task.first_chunk, task.last_chunk);
    for (int chunk = task.first_chunk; chunk < task.last_chunk; ++chunk)
      ASSERT_TRUE(chunks[task.tile].insert(chunk).second) << "chunk " << chunk << " twice";
  }
  std::set<std::pair<int, int>> rows;
  for (size_t i = 0; i < plan.tiles().size(); ++i) {
    const AttentionTile& tile = plan.tiles()[i];
    const int index = static_cast<int>(i);
    ASSERT_EQ(chunks[index].size(), static_cast<size_t>(tile.num_chunks));
    ASSERT_EQ(*chunks[index].rbegin(), tile.num_chunks - 1);
    ASSERT_EQ(num_tasks[index], tile.num_tasks);
    ASSERT_EQ(tile.split >= 0, tile.num_tasks > 1);
    ASSERT_EQ(tile.partials != nullptr, tile.num_tasks > 1);
    for (int r = 0; r < tile.num_rows; ++r)
      ASSERT_TRUE(rows.insert({tile.sequence->first_row + tile.first_row + r, tile.kv_head}).second);
  }
  ASSERT_EQ(rows.size(), static_cast<size_t>(batch.num_rows()) * 3);
}

TEST(AttentionPlanTest, CoversEveryRowHeadAndChunkOnce) {
  for (const int threads : {1, 2, 16, 64})
    for (const auto& sequences :
         std::vector<std::vector<std::pair<int, int>>>{{{1, 1}},
                                                       {{256, 1}},
                                                       {{257, 1}},
                                                       {{8192, 1}},
                                                       {{8192, 1}, {40, 1}, {700, 33}},
                                                       {{512, 512}},
                                                       {{8192, 100}}}) {
      const Step step(sequences);
      AttentionPlan plan(SizesFor(threads));
      std::vector<float> partials(static_cast<size_t>(AttentionPlan::PartialFloats(SizesFor(threads))));
      plan.Build(step.batch, 0, partials.data());
      ExpectComplete(plan, step.batch);
    }
}

TEST(AttentionPlanTest, SplitsALoneLongSequenceAndNoShortOrCrowdedOne) {
  std::vector<float> partials(static_cast<size_t>(AttentionPlan::PartialFloats(SizesFor(2))));
  AttentionPlan plan(SizesFor(2));
  const Step alone({{2048, 1}});
  plan.Build(alone.batch, 0, partials.data());
  EXPECT_GE(plan.tasks().size(), 12u);
  const Step brief({{256, 1}});
  plan.Build(brief.batch, 0, partials.data());
  EXPECT_EQ(plan.tasks().size(), 3u);
  const Step crowded(std::vector<std::pair<int, int>>(8, {2048, 1}));
  plan.Build(crowded.batch, 0, partials.data());
  EXPECT_EQ(plan.tasks().size(), 24u);
  AttentionPlan single(SizesFor(1));
  single.Build(alone.batch, 0, nullptr);
  EXPECT_EQ(single.tasks().size(), 3u);
}

TEST(AttentionPlanTest, PromptsComeInLargeTilesOfOneTaskEach) {
  std::vector<float> partials(static_cast<size_t>(AttentionPlan::PartialFloats(SizesFor(2))));
  AttentionPlan plan(SizesFor(2));
  const Step step({{400, 300}, {3000, 20}, {2048, 1}});  // the last was generated
  plan.Build(step.batch, 320, partials.data());
  ExpectComplete(plan, step.batch);
  int most_rows = 0;
  for (const AttentionTile& tile : plan.tiles()) {
    EXPECT_EQ(tile.is_prompt, tile.sequence->first_row < 320);
    if (!tile.is_prompt) continue;
    EXPECT_EQ(tile.num_tasks, 1);
    EXPECT_LE(tile.num_rows, kPromptAttentionRows);
    most_rows = std::max(most_rows, tile.num_rows);
  }
  EXPECT_GT(most_rows, kAttentionRows);
}

TEST(AttentionPlanTest, StatesOfSplitTilesLieApartWithinTheirMemory) {
  for (const int threads : {2, 64}) {
    const Step step({{8192, 1}, {8192, 16}, {5000, 16}, {8000, 1}});
    AttentionPlan plan(SizesFor(threads));
    std::vector<float> partials(static_cast<size_t>(AttentionPlan::PartialFloats(SizesFor(threads))));
    plan.Build(step.batch, 0, partials.data());
    const float* end = partials.data();
    for (const AttentionTile& tile : plan.tiles()) {
      if (tile.split < 0) continue;
      EXPECT_GE(tile.partials, end);
      end = tile.partials + int64_t{3} * tile.num_rows * tile.num_chunks * AttentionStateFloats(64);
    }
    EXPECT_GT(end, partials.data());
    EXPECT_LE(end, partials.data() + partials.size());
  }
}

TEST(AttentionPlanTest, TheLastTaskOfATileMergesInEveryLayer) {
  const Step step({{2048, 1}});
  AttentionPlan plan(SizesFor(2));
  std::vector<float> partials(static_cast<size_t>(AttentionPlan::PartialFloats(SizesFor(2))));
  plan.Build(step.batch, 0, partials.data());
  const AttentionTile& tile = plan.tiles().front();
  ASSERT_GE(tile.num_tasks, 2);
  for (int layer = 0; layer < 3; ++layer)
    for (int i = 1; i <= tile.num_tasks; ++i) EXPECT_EQ(plan.FinishTask(tile), i == tile.num_tasks);
}

}  // namespace
}  // namespace weir
