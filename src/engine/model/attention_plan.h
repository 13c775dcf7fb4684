// How the attention of one step is shared out: tiles of rows with one KV head, and chunks of keys where those are too
// few for the threads.
//
// Shapes    a tile is up to kAttentionRows rows of one sequence with one KV head; a task is a range of its chunks. Rows of
//           prompts that have kernels of their own come in tiles of up to kPromptAttentionRows, each one task
// Owns      its lists and counters, sized once; Build() allocates nothing
// Threads   Build() on the engine thread; the counters of split tiles are shared by the tasks of one layer
// Source    docs/KERNELS.md, "Attention"
//
// What is split does not show in the result: a chunk's state is the same whoever computes it, and states merge in order.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/batch/batch.h"

namespace weir {

struct AttentionTile {
  const BatchSequence* sequence;
  int first_row;  // of the sequence's rows
  int num_rows;
  int kv_head;
  bool is_prompt;  // for PromptKernels
  int num_chunks;
  int split;  // number among the split tiles, -1 when one task does it all
  int num_tasks;
  float* partials;  // states of all chunks; null unless split
};

struct AttentionTask {
  int tile;
  int first_chunk;
  int last_chunk;  // one past
};

class AttentionPlan {
 public:
  struct Sizes {
    int max_rows = 0;  // of a batch
    int num_heads = 0;
    int num_kv_heads = 0;
    int head_dim = 0;
    int max_context = 0;
    int num_threads = 0;
  };
  AttentionPlan() = default;
  explicit AttentionPlan(const Sizes& sizes);
  // Floats that the states of split tiles may take.
  static int64_t PartialFloats(const Sizes& sizes);

  // `num_prompt_rows`: the first rows, for PromptKernels.
  void Build(const Batch& batch, int num_prompt_rows, float* partials);
  const std::vector<AttentionTile>& tiles() const { return tiles_; }
  const std::vector<AttentionTask>& tasks() const { return tasks_; }
  // Counts a finished task of a split tile; true for the last one of the layer, which has to merge.
  bool FinishTask(const AttentionTile& tile);

 private:
  int RowsOfPromptTile(int num_rows) const;

  Sizes sizes_;
  std::vector<AttentionTile> tiles_;
  std::vector<AttentionTask> tasks_;
  std::unique_ptr<std::atomic<int32_t>[]> unfinished_;
};

}  // namespace weir
