// Sizes of what attention writes beside its result.
#pragma once

#include <cstdint>

#include "engine/kernels/isa_abi.h"

namespace weir {

// One query's state over a chunk of keys: accumulators, 16 lanes of a sum, a maximum.
inline int64_t AttentionStateFloats(int64_t head_dim) { return (head_dim + 15) / 16 * 16 + 32; }

// Whether prompts are attended to by kernels of their own.
inline bool HasPromptAttention(const KernelTable& kernels, int64_t head_dim) {
  return kernels.prompt_attention != nullptr && head_dim % 32 == 0;
}

// Scratch of one call, of either kind.
inline int64_t AttentionScratchFloats(int64_t head_dim, int64_t group) {
  const int64_t padded = (head_dim + 15) / 16 * 16;
  const int64_t usual =
      padded * kAttentionKeys +
      kAttentionRows * group * (padded + kAttentionChunk + 2 * AttentionStateFloats(head_dim) + 2);
  // Queries in bf16, results, two numbers each; a chunk of keys and values in bf16; 32 rows of scores, their weights and
  // products; scales; what aligning takes.
  const int64_t queries = (kPromptAttentionRows * group + 31) / 32 * 32;
  const int64_t prompt = queries * (padded / 2 + padded + 2) + kAttentionChunk * (padded + 2) +
                         32 * (kAttentionChunk + kAttentionChunk / 2 + padded) + 11 * 16;
  return usual > prompt ? usual : prompt;
}

}  // namespace weir
