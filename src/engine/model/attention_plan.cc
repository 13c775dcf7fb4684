#include "engine/model/attention_plan.h"

#include <algorithm>

#include "base/check.h"
#include "engine/kernels/attention.h"

namespace weir {
namespace {

// Enough that a thread which gets the longest task last does not make the others wait for long.
constexpr int kTasksPerThread = 8;

int ChunksUpTo(int num_keys) { return (num_keys + kAttentionChunk - 1) / kAttentionChunk; }

// A chunk must be read for one row as for many, and reading it costs about as much as computing three rows.
int64_t CostOfChunk(int num_rows) { return 3 + num_rows; }

}  // namespace

// Large tiles turn keys into bf16 less often, small ones give every thread some.
int AttentionPlan::RowsOfPromptTile(int num_rows) const {
  const int tiles_per_head = (2 * sizes_.num_threads + sizes_.num_kv_heads - 1) / sizes_.num_kv_heads;
  const int rows = (num_rows / tiles_per_head + 15) / 16 * 16;
  return std::clamp<int>(rows, 16, kPromptAttentionRows);
}

AttentionPlan::AttentionPlan(const Sizes& sizes) : sizes_(sizes) {
  const size_t max_tiles = static_cast<size_t>(sizes.max_rows) * static_cast<size_t>(sizes.num_kv_heads);
  const size_t max_splits = static_cast<size_t>(sizes.num_threads) * kTasksPerThread;
  tiles_.reserve(max_tiles);
  tasks_.reserve(max_tiles + 2 * max_splits);
  unfinished_ = std::make_unique<std::atomic<int32_t>[]>(max_splits);
}

int64_t AttentionPlan::PartialFloats(const Sizes& sizes) {
  // A lone row at the longest context, or a full tile at 4,096 keys, of all heads. What does not fit stays whole.
  const int64_t states =
      int64_t{sizes.num_heads} * std::max(ChunksUpTo(sizes.max_context), int{kAttentionRows} * 16);
  return sizes.num_threads > 1 ? states * AttentionStateFloats(sizes.head_dim) : 0;
}

void AttentionPlan::Build(const Batch& batch, int num_prompt_rows, float* partials) {
  tiles_.clear();
  tasks_.clear();
  int64_t total = 0;
  for (const BatchSequence& sequence : batch.sequences) {
    const bool is_prompt = sequence.first_row < num_prompt_rows;
    const int most_rows = is_prompt ? RowsOfPromptTile(sequence.num_rows) : int{kAttentionRows};
    for (int first = 0; first < sequence.num_rows; first += most_rows) {
      const int num_rows = std::min(most_rows, sequence.num_rows - first);
      const int last_row = sequence.first_row + first + num_rows - 1;
      const int chunks = ChunksUpTo(batch.positions[static_cast<size_t>(last_row)] + 1);
      if (!is_prompt) total += CostOfChunk(num_rows) * chunks * sizes_.num_kv_heads;
      for (int head = 0; head < sizes_.num_kv_heads; ++head)
        tiles_.push_back({&sequence, first, num_rows, head, is_prompt, chunks, -1, 1, nullptr});
    }
  }
  const int64_t cost_per_task = total / (int64_t{sizes_.num_threads} * kTasksPerThread) + 1;
  const int64_t group = sizes_.num_heads / sizes_.num_kv_heads;
  int64_t floats_left = PartialFloats(sizes_);
  int num_split = 0;
  for (AttentionTile& tile : tiles_) {
    const int index = static_cast<int>(&tile - tiles_.data());
    const int64_t per_task = std::max<int64_t>(1, cost_per_task / CostOfChunk(tile.num_rows));
    const int64_t floats = tile.num_chunks * tile.num_rows * group * AttentionStateFloats(sizes_.head_dim);
    if (tile.is_prompt || tile.num_chunks <= per_task || floats > floats_left) {
      tasks_.push_back({index, 0, tile.num_chunks});
      continue;
    }
    tile.num_tasks = static_cast<int>((tile.num_chunks + per_task - 1) / per_task);
    tile.split = num_split++;
    tile.partials = partials;
    partials += floats;
    floats_left -= floats;
    DCHECK(num_split <= sizes_.num_threads * kTasksPerThread);
    unfinished_[static_cast<size_t>(tile.split)].store(tile.num_tasks, std::memory_order_relaxed);
    for (int i = 0; i < tile.num_tasks; ++i)
      tasks_.push_back(
          {index, tile.num_chunks * i / tile.num_tasks, tile.num_chunks * (i + 1) / tile.num_tasks});
  }
}

bool AttentionPlan::FinishTask(const AttentionTile& tile) {
  std::atomic<int32_t>& unfinished = unfinished_[static_cast<size_t>(tile.split)];
  if (unfinished.fetch_sub(1, std::memory_order_acq_rel) > 1) return false;
  unfinished.store(tile.num_tasks, std::memory_order_relaxed);  // for the next layer
  return true;
}

}  // namespace weir
