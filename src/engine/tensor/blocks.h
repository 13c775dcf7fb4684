// The quantized blocks of GGUF as they lie in the file: 32 consecutive elements of a row each.
//
// Shapes    element j < 16 is the low nibble of qs[j], element j + 16 the high nibble
// Units     scale and min are IEEE half bits (tensor/half.h)
// Source    docs/FORMATS.md, "Quantized blocks"
//
// Every member is bytes or 16-bit, so the structs have no padding; blocks in a file are only 2-byte aligned.
#pragma once

#include <cstdint>

namespace weir {

inline constexpr int kQuantBlockSize = 32;

struct BlockQ4_0 {  // (q - 8) * scale
  uint16_t scale;
  uint8_t qs[16];
};

struct BlockQ4_1 {  // q * scale + min
  uint16_t scale;
  uint16_t min;
  uint8_t qs[16];
};

struct BlockQ5_0 {  // (q - 16) * scale; bit j of qh (little-endian) is the fifth bit of element j
  uint16_t scale;
  uint8_t qh[4];
  uint8_t qs[16];
};

struct BlockQ5_1 {  // q * scale + min
  uint16_t scale;
  uint16_t min;
  uint8_t qh[4];
  uint8_t qs[16];
};

struct BlockQ8_0 {  // q * scale
  uint16_t scale;
  int8_t qs[32];
};

static_assert(sizeof(BlockQ4_0) == 18);
static_assert(sizeof(BlockQ4_1) == 20);
static_assert(sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ8_0) == 34);

}  // namespace weir
