// The quantized blocks of GGUF as they lie in the file: 32 or 256 consecutive elements of a row each.
//
// Shapes    of 32: element j < 16 is the low nibble of qs[j], element j + 16 the high nibble. Of 256 (the K types and
//           IQ4_XS): the orders stated beside each; groups of 16 or 32 elements have small scales of their own
// Units     scale and min are IEEE half bits (tensor/half.h)
// Source    docs/FORMATS.md, "Quantized blocks"
//
// Every member is bytes or 16-bit, so the structs have no padding; blocks in a file are only 2-byte aligned.
#pragma once

#include <cstdint>

namespace weir {

inline constexpr int kQuantBlockSize = 32;
inline constexpr int kSuperBlockSize = 256;

// What the 4-bit codes of IQ4_NL and IQ4_XS stand for.
inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

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

struct BlockIQ4_NL {  // kIq4Values[q] * scale
  uint16_t scale;
  uint8_t qs[16];
};

// (q * s) * scale - m * min. Group g of 16: s and m are the halves of scales[g]; element 128n + 32j + l is bits 2j, 2j+1
// of qs[32n + l].
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t scale;
  uint16_t min;
};

// (q - 4) * s * scale. Two low bits as in Q2_K; the third of element 32b + l is bit b of hmask[l]. Sixteen 6-bit scales,
// stored plus 32: low halves in the nibbles of scales[0..8), high bits two by two in scales[8..12).
struct BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t scale;
};

// q * s * scale - m * min, per group of 32. Element 64j + l is the low nibble of qs[32j + l], element 64j + 32 + l the high
// one. Eight 6-bit scales and eight 6-bit mins share scales[12].
struct BlockQ4_K {
  uint16_t scale;
  uint16_t min;
  uint8_t scales[12];
  uint8_t qs[128];
};

struct BlockQ5_K {  // as Q4_K; bit b of qh[l] is the fifth bit of element 32b + l
  uint16_t scale;
  uint16_t min;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};

// (q - 32) * s * scale, per group of 16. Element 128n + 32j + l: nibble of ql[64n + 32(j % 2) + l], the low one for
// j < 2; its upper bits are bits 2j, 2j+1 of qh[32n + l].
struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t scale;
};

// kIq4Values[q] * (s - 32) * scale, per group of 32: low nibbles of s in scales_l, upper two bits in scales_h.
struct BlockIQ4_XS {
  uint16_t scale;
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};

static_assert(sizeof(BlockQ4_0) == 18);
static_assert(sizeof(BlockQ4_1) == 20);
static_assert(sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ8_0) == 34);
static_assert(sizeof(BlockIQ4_NL) == 18);
static_assert(sizeof(BlockQ2_K) == 84);
static_assert(sizeof(BlockQ3_K) == 110);
static_assert(sizeof(BlockQ4_K) == 144);
static_assert(sizeof(BlockQ5_K) == 176);
static_assert(sizeof(BlockQ6_K) == 210);
static_assert(sizeof(BlockIQ4_XS) == 136);

}  // namespace weir
