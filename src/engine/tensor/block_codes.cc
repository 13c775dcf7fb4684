#include "engine/tensor/block_codes.h"

#include <cstring>

#include "base/check.h"

namespace weir {
namespace {

// A file promises no alignment beyond 2 bytes, and a damaged one not even that.
template <typename Block>
Block Load(const std::byte* source) {
  Block block;
  std::memcpy(&block, source, sizeof(block));
  return block;
}

void Nibbles(const uint8_t* qs, int count, uint8_t* codes) {
  for (int j = 0; j < count; ++j) {
    codes[j] = qs[j] & 0xf;
    codes[j + count] = qs[j] >> 4;
  }
}

// Eight bits to eight bytes at once: byte i keeps bit i of a copy, and whatever it is carries into its top bit.
void FifthBits(const uint8_t* qh, uint8_t* codes) {
  for (int i = 0; i < 4; ++i) {
    const uint64_t bits = qh[i] * uint64_t{0x0101010101010101} & 0x8040201008040201;
    uint64_t eight;
    std::memcpy(&eight, codes + 8 * i, sizeof(eight));
    eight |= ((bits + 0x7f7f7f7f7f7f7f7f) & 0x8080808080808080) >> 3;
    std::memcpy(codes + 8 * i, &eight, sizeof(eight));
  }
}

// The 6-bit scales and mins of Q4_K and Q5_K.
void SixBitPairs(const uint8_t* packed, BlockCodes* out) {
  for (int g = 0; g < 4; ++g) {
    out->scales[g] = static_cast<int8_t>(packed[g] & 63);
    out->mins[g] = static_cast<int8_t>(packed[g + 4] & 63);
    out->scales[g + 4] = static_cast<int8_t>((packed[g + 8] & 0xf) | (packed[g] >> 6 << 4));
    out->mins[g + 4] = static_cast<int8_t>((packed[g + 8] >> 4) | (packed[g + 4] >> 6 << 4));
  }
}

void TwoBits(const uint8_t* qs, uint8_t* codes) {
  for (int n = 0; n < 2; ++n)
    for (int j = 0; j < 4; ++j)
      for (int l = 0; l < 32; ++l) codes[128 * n + 32 * j + l] = (qs[32 * n + l] >> (2 * j)) & 3;
}

void Read(const BlockQ4_0& block, BlockCodes* out) {
  out->scale = block.scale;
  Nibbles(block.qs, 16, out->codes);
}

void Read(const BlockQ4_1& block, BlockCodes* out) {
  out->scale = block.scale;
  out->min = block.min;
  Nibbles(block.qs, 16, out->codes);
}

void Read(const BlockQ5_0& block, BlockCodes* out) {
  out->scale = block.scale;
  Nibbles(block.qs, 16, out->codes);
  FifthBits(block.qh, out->codes);
}

void Read(const BlockQ5_1& block, BlockCodes* out) {
  out->scale = block.scale;
  out->min = block.min;
  Nibbles(block.qs, 16, out->codes);
  FifthBits(block.qh, out->codes);
}

void Read(const BlockQ8_0& block, BlockCodes* out) {
  out->scale = block.scale;
  std::memcpy(out->codes, block.qs, sizeof(block.qs));
}

void Read(const BlockIQ4_NL& block, BlockCodes* out) {
  out->scale = block.scale;
  Nibbles(block.qs, 16, out->codes);
}

void Read(const BlockQ2_K& block, BlockCodes* out) {
  out->scale = block.scale;
  out->min = block.min;
  TwoBits(block.qs, out->codes);
  for (int g = 0; g < 16; ++g) {
    out->scales[g] = static_cast<int8_t>(block.scales[g] & 0xf);
    out->mins[g] = static_cast<int8_t>(block.scales[g] >> 4);
  }
}

void Read(const BlockQ3_K& block, BlockCodes* out) {
  out->scale = block.scale;
  TwoBits(block.qs, out->codes);
  for (int b = 0; b < 8; ++b)
    for (int l = 0; l < 32; ++l)
      out->codes[32 * b + l] |= static_cast<uint8_t>((block.hmask[l] >> b & 1) << 2);
  for (int g = 0; g < 16; ++g) {
    const int low = g < 8 ? block.scales[g] & 0xf : block.scales[g - 8] >> 4;
    const int high = block.scales[8 + g % 4] >> (2 * (g / 4)) & 3;
    out->scales[g] = static_cast<int8_t>((low | high << 4) - 32);
  }
}

void Read(const BlockQ4_K& block, BlockCodes* out) {
  out->scale = block.scale;
  out->min = block.min;
  for (int j = 0; j < 4; ++j) Nibbles(block.qs + 32 * j, 32, out->codes + 64 * j);
  SixBitPairs(block.scales, out);
}

void Read(const BlockQ5_K& block, BlockCodes* out) {
  out->scale = block.scale;
  out->min = block.min;
  for (int j = 0; j < 4; ++j) Nibbles(block.qs + 32 * j, 32, out->codes + 64 * j);
  for (int b = 0; b < 8; ++b)
    for (int l = 0; l < 32; ++l) out->codes[32 * b + l] |= static_cast<uint8_t>((block.qh[l] >> b & 1) << 4);
  SixBitPairs(block.scales, out);
}

void Read(const BlockQ6_K& block, BlockCodes* out) {
  out->scale = block.scale;
  for (int n = 0; n < 2; ++n) {
    Nibbles(block.ql + 64 * n, 64, out->codes + 128 * n);
    for (int j = 0; j < 4; ++j)
      for (int l = 0; l < 32; ++l)
        out->codes[128 * n + 32 * j + l] |= static_cast<uint8_t>((block.qh[32 * n + l] >> (2 * j) & 3) << 4);
  }
  std::memcpy(out->scales, block.scales, sizeof(block.scales));
}

void Read(const BlockIQ4_XS& block, BlockCodes* out) {
  out->scale = block.scale;
  for (int g = 0; g < 8; ++g) {
    Nibbles(block.qs + 16 * g, 16, out->codes + 32 * g);
    const int low = block.scales_l[g / 2] >> (4 * (g % 2)) & 0xf;
    const int high = block.scales_h >> (2 * g) & 3;
    out->scales[g] = static_cast<int8_t>((low | high << 4) - 32);
  }
}

}  // namespace

CodeRule RuleOf(DType dtype) {
  CodeRule rule;
  switch (dtype) {
    case DType::kQ4_0:
      rule.offset = 8;
      break;
    case DType::kQ5_0:
      rule.offset = 16;
      break;
    case DType::kQ8_0:
      rule.signed_bytes = true;
      break;
    case DType::kIQ4_NL:
    case DType::kIQ4_XS:
      rule.table = kIq4Values;
      break;
    case DType::kQ2_K:
      rule.group = 16;
      rule.own_min = true;
      break;
    case DType::kQ3_K:
      rule.group = 16;
      rule.offset = 4;
      break;
    case DType::kQ6_K:
      rule.group = 16;
      rule.offset = 32;
      break;
    default:
      rule.own_min = true;
      break;
  }
  return rule;
}

void ReadBlock(DType dtype, const std::byte* source, BlockCodes* out) {
  switch (dtype) {
    case DType::kQ4_0:
      return Read(Load<BlockQ4_0>(source), out);
    case DType::kQ4_1:
      return Read(Load<BlockQ4_1>(source), out);
    case DType::kQ5_0:
      return Read(Load<BlockQ5_0>(source), out);
    case DType::kQ5_1:
      return Read(Load<BlockQ5_1>(source), out);
    case DType::kQ8_0:
      return Read(Load<BlockQ8_0>(source), out);
    case DType::kQ2_K:
      return Read(Load<BlockQ2_K>(source), out);
    case DType::kQ3_K:
      return Read(Load<BlockQ3_K>(source), out);
    case DType::kQ4_K:
      return Read(Load<BlockQ4_K>(source), out);
    case DType::kQ5_K:
      return Read(Load<BlockQ5_K>(source), out);
    case DType::kQ6_K:
      return Read(Load<BlockQ6_K>(source), out);
    case DType::kIQ4_NL:
      return Read(Load<BlockIQ4_NL>(source), out);
    case DType::kIQ4_XS:
      return Read(Load<BlockIQ4_XS>(source), out);
    default:
      CHECK(false);  // F32, F16 and BF16 have no blocks
  }
}

}  // namespace weir
