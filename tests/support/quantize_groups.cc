#include "tests/support/quantize_groups.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/check.h"
#include "engine/tensor/half.h"

namespace weir {
namespace {

// Codes 0 to codes - 1; small scales and mins up to these.
struct Levels {
  int codes;
  int scale;
  int min;
};

Levels LevelsOf(DType dtype) {
  switch (dtype) {
    case DType::kQ2_K:
      return {4, 15, 15};
    case DType::kQ3_K:
      return {8, 31, 0};
    case DType::kQ4_K:
      return {16, 63, 63};
    case DType::kQ5_K:
      return {32, 63, 63};
    case DType::kQ6_K:
      return {64, 127, 0};
    case DType::kIQ4_NL:
      return {16, 1, 0};
    default:
      CHECK(dtype == DType::kIQ4_XS);
      return {16, 31, 0};
  }
}

float Value(const CodeRule& rule, int code) {
  return static_cast<float>(rule.table != nullptr ? rule.table[code] : code - rule.offset);
}

// The step that a group wants, and how far below zero it begins.
struct Step {
  float scale;
  float min;
};

Step StepOf(const CodeRule& rule, const Levels& levels, std::span<const float> values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const float top = Value(rule, levels.codes - 1);
  if (rule.own_min) {
    const float min = std::max(0.0f, -*low);
    return {std::max(0.0f, *high + min) / top, min};
  }
  return {std::max(std::fabs(*low), std::fabs(*high)) / top, 0.0f};
}

int Nearest(const CodeRule& rule, int codes, float value, float scale, float min) {
  int best = 0;
  for (int code = 1; code < codes; ++code)
    if (std::fabs(Value(rule, code) * scale - min - value) <
        std::fabs(Value(rule, best) * scale - min - value))
      best = code;
  return best;
}

// A half that is not below the quotient, so that the largest small scale is not exceeded.
uint16_t HalfAbove(float value) {
  uint16_t half = FloatToHalf(value);
  if (HalfToFloat(half) < value) ++half;
  return half;
}

int SmallScale(float wanted, uint16_t half, int largest) {
  const float unit = HalfToFloat(half);
  return unit == 0 ? 0 : std::min(largest, static_cast<int>(std::lround(wanted / unit)));
}

void Quantize(DType dtype, std::span<const float> values, BlockCodes* out) {
  const CodeRule rule = RuleOf(dtype);
  const Levels levels = LevelsOf(dtype);
  const auto group = static_cast<size_t>(rule.group);
  const size_t num_groups = values.size() / group;
  float largest_scale = 0;
  float largest_min = 0;
  for (size_t g = 0; g < num_groups; ++g) {
    const Step step = StepOf(rule, levels, values.subspan(g * group, group));
    largest_scale = std::max(largest_scale, step.scale);
    largest_min = std::max(largest_min, step.min);
  }
  out->scale = HalfAbove(largest_scale / static_cast<float>(levels.scale));
  out->min = rule.own_min ? HalfAbove(largest_min / static_cast<float>(levels.min)) : uint16_t{0};
  for (size_t g = 0; g < num_groups; ++g) {
    const Step step = StepOf(rule, levels, values.subspan(g * group, group));
    const int scale = SmallScale(step.scale, out->scale, levels.scale);
    const int min = SmallScale(step.min, out->min, levels.min);
    out->scales[g] = static_cast<int8_t>(scale);
    out->mins[g] = static_cast<int8_t>(min);
    for (size_t k = g * group; k < (g + 1) * group; ++k)
      out->codes[k] = static_cast<uint8_t>(Nearest(rule, levels.codes, values[k],
                                                   static_cast<float>(scale) * HalfToFloat(out->scale),
                                                   static_cast<float>(min) * HalfToFloat(out->min)));
  }
}

template <typename Block>
std::string Bytes(const Block& block) {
  return {reinterpret_cast<const char*>(&block), sizeof(block)};
}

void PutNibbles(const uint8_t* codes, int count, uint8_t* qs) {
  for (int j = 0; j < count; ++j)
    qs[j] = static_cast<uint8_t>((codes[j] & 0xf) | (codes[j + count] & 0xf) << 4);
}

void PutTwoBits(const uint8_t* codes, uint8_t* qs) {
  for (int k = 0; k < kSuperBlockSize; ++k)
    qs[k / 128 * 32 + k % 32] |= static_cast<uint8_t>((codes[k] & 3) << (k % 128 / 32 * 2));
}

template <typename Block>
void PutSixBitPairs(const BlockCodes& codes, Block* block) {
  block->scale = codes.scale;
  block->min = codes.min;
  for (int g = 0; g < 4; ++g) {
    const int scale = codes.scales[g + 4];
    const int min = codes.mins[g + 4];
    block->scales[g] = static_cast<uint8_t>(codes.scales[g] | scale >> 4 << 6);
    block->scales[g + 4] = static_cast<uint8_t>(codes.mins[g] | min >> 4 << 6);
    block->scales[g + 8] = static_cast<uint8_t>((scale & 0xf) | (min & 0xf) << 4);
  }
}

std::string WriteQ2(const BlockCodes& codes) {
  BlockQ2_K block = {};
  block.scale = codes.scale;
  block.min = codes.min;
  for (int g = 0; g < 16; ++g) block.scales[g] = static_cast<uint8_t>(codes.scales[g] | codes.mins[g] << 4);
  PutTwoBits(codes.codes, block.qs);
  return Bytes(block);
}

std::string WriteQ3(const BlockCodes& codes) {
  BlockQ3_K block = {};
  block.scale = codes.scale;
  PutTwoBits(codes.codes, block.qs);
  for (int k = 0; k < kSuperBlockSize; ++k)
    block.hmask[k % 32] |= static_cast<uint8_t>((codes.codes[k] >> 2 & 1) << (k / 32));
  for (int g = 0; g < 16; ++g) {
    const int scale = codes.scales[g] + 32;
    block.scales[g % 8] |= static_cast<uint8_t>((scale & 0xf) << (g / 8 * 4));
    block.scales[8 + g % 4] |= static_cast<uint8_t>(scale >> 4 << (g / 4 * 2));
  }
  return Bytes(block);
}

std::string WriteQ4(const BlockCodes& codes) {
  BlockQ4_K block = {};
  PutSixBitPairs(codes, &block);
  for (int j = 0; j < 4; ++j) PutNibbles(codes.codes + 64 * j, 32, block.qs + 32 * j);
  return Bytes(block);
}

std::string WriteQ5(const BlockCodes& codes) {
  BlockQ5_K block = {};
  PutSixBitPairs(codes, &block);
  for (int j = 0; j < 4; ++j) PutNibbles(codes.codes + 64 * j, 32, block.qs + 32 * j);
  for (int k = 0; k < kSuperBlockSize; ++k)
    block.qh[k % 32] |= static_cast<uint8_t>((codes.codes[k] >> 4 & 1) << (k / 32));
  return Bytes(block);
}

std::string WriteQ6(const BlockCodes& codes) {
  BlockQ6_K block = {};
  block.scale = codes.scale;
  for (int n = 0; n < 2; ++n) PutNibbles(codes.codes + 128 * n, 64, block.ql + 64 * n);
  for (int k = 0; k < kSuperBlockSize; ++k)
    block.qh[k / 128 * 32 + k % 32] |= static_cast<uint8_t>((codes.codes[k] >> 4 & 3) << (k % 128 / 32 * 2));
  std::copy(codes.scales, codes.scales + 16, block.scales);
  return Bytes(block);
}

std::string WriteNonLinear(const BlockCodes& codes) {
  BlockIQ4_NL block = {};
  block.scale = codes.scale;
  PutNibbles(codes.codes, 16, block.qs);
  return Bytes(block);
}

std::string WriteNonLinearSuper(const BlockCodes& codes) {
  BlockIQ4_XS block = {};
  block.scale = codes.scale;
  for (int g = 0; g < 8; ++g) {
    PutNibbles(codes.codes + 32 * g, 16, block.qs + 16 * g);
    const int scale = codes.scales[g] + 32;
    block.scales_l[g / 2] |= static_cast<uint8_t>((scale & 0xf) << (g % 2 * 4));
    block.scales_h = static_cast<uint16_t>(block.scales_h | scale >> 4 << (2 * g));
  }
  return Bytes(block);
}

}  // namespace

std::string WriteBlock(DType dtype, const BlockCodes& codes) {
  switch (dtype) {
    case DType::kQ2_K:
      return WriteQ2(codes);
    case DType::kQ3_K:
      return WriteQ3(codes);
    case DType::kQ4_K:
      return WriteQ4(codes);
    case DType::kQ5_K:
      return WriteQ5(codes);
    case DType::kQ6_K:
      return WriteQ6(codes);
    case DType::kIQ4_NL:
      return WriteNonLinear(codes);
    default:
      CHECK(dtype == DType::kIQ4_XS);
      return WriteNonLinearSuper(codes);
  }
}

std::string QuantizeByGroups(DType dtype, std::span<const float> values) {
  const size_t size = Traits(dtype).block_size;
  CHECK(values.size() % size == 0);
  std::string out;
  BlockCodes block;
  for (size_t i = 0; i < values.size(); i += size) {
    Quantize(dtype, values.subspan(i, size), &block);
    out += WriteBlock(dtype, block);
  }
  return out;
}

}  // namespace weir
