// One quantized block of a file taken apart into plain codes and scales, whatever its type.
//
// Shapes    Traits(dtype).block_size codes in the order of the row; group g covers columns [g * group, (g + 1) * group)
// Units     scale and min are IEEE half bits; codes are unsigned except Q8_0's, which are two's complement
// Requires  a quantized type; the block's bytes at `source`, at any alignment
// Owns      nothing
// Threads   pure functions
// Source    engine/tensor/blocks.h
//
// A weight is Value(code) * (scale * scales[g]) - min * mins[g]. Types of 32 have one group with scale 1 and, where they have a
// min, -1 for it: their min is added.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/tensor/blocks.h"
#include "engine/tensor/dtype.h"

namespace weir {

struct BlockCodes {
  uint16_t scale = 0;
  uint16_t min = 0;
  uint8_t codes[kSuperBlockSize];
  int8_t scales[kSuperBlockSize / 16];
  int8_t mins[kSuperBlockSize / 16];
};

// How codes become weights.
struct CodeRule {
  int group = kQuantBlockSize;  // columns that share a small scale
  int offset = 0;               // taken from an unsigned code
  bool own_min = false;
  bool signed_bytes = false;      // Q8_0
  const int8_t* table = nullptr;  // looked up instead
};
CodeRule RuleOf(DType dtype);

// Fills what the type has: codes always, scales and mins for the types of 256.
void ReadBlock(DType dtype, const std::byte* source, BlockCodes* out);

}  // namespace weir
