// All memory that one forward pass writes besides the KV cache, sized once.
//
// Shapes    beside each member; rows up to ModelOptions::max_rows
// Owns      one buffer
// Errors    Create: RESOURCE_EXHAUSTED
// Threads   shared members are written in disjoint rows or columns; ThreadScratch belongs to one thread
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "engine/kernels/matmul.h"
#include "engine/model/model_config.h"
#include "engine/tensor/aligned_buffer.h"

namespace weir {

// The tiles of `pairs` rows that are divided among `shares` experts, however they are.
inline int64_t ExpertTileBytes(const KernelTable& kernels, int64_t pairs, int64_t shares, int64_t columns) {
  const int64_t most_wasted = MixedTileBytes(kernels, 0, columns);
  return MixedTileBytes(kernels, pairs, columns) - most_wasted + shares * most_wasted;
}

struct ThreadScratch {
  float* columns = nullptr;        // [rows, columns of one unit], twice
  float* rows = nullptr;           // [kMaxTileRows, hidden]: normed rows that only their tiles need
  float* attended = nullptr;       // [rows of a tile, columns of a KV head]: the same of attention
  float* attention = nullptr;      // of one attention call
  unsigned char* strip = nullptr;  // one strip of weights, when they stay in the file
};

struct Scratch {
  float* hidden = nullptr;    // [rows, hidden]: the residual stream
  float* normed = nullptr;    // [rows, hidden]
  float* queries = nullptr;   // [rows, heads * head_dim]; in the memory of ffn_tiles
  float* attended = nullptr;  // [rows, heads * head_dim]
  float* ffn = nullptr;       // [rows, ffn]
  float* sublayer = nullptr;  // [rows, hidden]: what a half of a layer adds, where it is normed first
  unsigned char* normed_tiles = nullptr;
  unsigned char* attended_tiles = nullptr;  // in the memory of normed_tiles
  unsigned char* ffn_tiles = nullptr;
  // Of layers with experts, whose ffn and ffn_tiles have a row per pair of a row and an expert.
  float* router_logits = nullptr;       // [rows, experts]
  float* pairs = nullptr;               // [pairs, hidden]: normed rows, then what the experts make of them
  unsigned char* pair_tiles = nullptr;  // of the normed rows
  float* partials = nullptr;            // states of attention chunks, AttentionPlan's
  float* rope_rows = nullptr;           // [ropes, rows, 2 * rope_dims] for positions beyond the table
  std::vector<float> logit_maxima;      // [logit rows, units of the lm-head]
  std::vector<float> row_rms;           // [rows], of the residual stream at the last norm
  std::vector<float> thresholds;        // [rows]: larger values are taken out of their block
  std::vector<const float*> rope;       // [ropes, max_rows]
  int max_rows = 0;
  std::vector<ThreadScratch> threads;
  AlignedBuffer buffer;

  // `unit_columns`: most columns that one unit of work produces into thread scratch. `strip_bytes`: 0 when weights are
  // packed.
  static Result<Scratch> Create(const KernelTable& kernels, const ModelConfig& config, int max_rows,
                                int num_threads, int unit_columns, int64_t partial_floats,
                                int64_t strip_bytes);
};

}  // namespace weir
