// Scratch of one attention call.
#pragma once

#include <cstdint>

#include "engine/kernels/isa_abi.h"

namespace weir {

inline int64_t AttentionScratchFloats(int64_t head_dim, int64_t group) {
  const int64_t padded = (head_dim + 15) / 16 * 16;
  return (head_dim + padded) * kAttentionKeys + kAttentionRows * group * (kAttentionKeys + padded + 16 + 1) +
         16;
}

}  // namespace weir
