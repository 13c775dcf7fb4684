// Sizes of what attention writes beside its result.
#pragma once

#include <cstdint>

#include "engine/kernels/isa_abi.h"

namespace weir {

// One query's state over a chunk of keys: accumulators, 16 lanes of a sum, a maximum.
inline int64_t AttentionStateFloats(int64_t head_dim) { return (head_dim + 15) / 16 * 16 + 32; }

// Scratch of one call.
inline int64_t AttentionScratchFloats(int64_t head_dim, int64_t group) {
  const int64_t padded = (head_dim + 15) / 16 * 16;
  return padded * kAttentionKeys +
         kAttentionRows * group * (padded + kAttentionChunk + 2 * AttentionStateFloats(head_dim) + 2);
}

}  // namespace weir
