#include "tests/support/quantize.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "engine/tensor/blocks.h"
#include "engine/tensor/half.h"
#include "tests/support/quantize_groups.h"

namespace weir {
namespace {

struct Range {
  float min;
  float max;
  float absolute;  // largest magnitude
};

Range RangeOf(const float* values) {
  Range out{values[0], values[0], 0};
  for (int i = 0; i < kQuantBlockSize; ++i) {
    out.min = std::min(out.min, values[i]);
    out.max = std::max(out.max, values[i]);
    out.absolute = std::max(out.absolute, std::fabs(values[i]));
  }
  return out;
}

// Steps of `scale` from `zero`, held inside [low, high].
int Level(float value, float zero, float scale, int low, int high) {
  if (scale == 0) return std::clamp(0, low, high);
  return std::clamp(static_cast<int>(std::lround((value - zero) / scale)), low, high);
}

template <typename Block>
void SetFiveBits(Block* block, int element, int level) {
  block->qs[element % 16] =
      static_cast<uint8_t>(block->qs[element % 16] | ((level & 0xf) << (element < 16 ? 0 : 4)));
  block->qh[element / 8] = static_cast<uint8_t>(block->qh[element / 8] | ((level >> 4) << (element % 8)));
}

void Fill(const float* values, BlockQ4_0* block) {
  block->scale = FloatToHalf(RangeOf(values).absolute / 7);
  const float scale = HalfToFloat(block->scale);
  for (int i = 0; i < kQuantBlockSize; ++i) {
    const int level = Level(values[i], 0, scale, -8, 7) + 8;
    block->qs[i % 16] = static_cast<uint8_t>(block->qs[i % 16] | (level << (i < 16 ? 0 : 4)));
  }
}

void Fill(const float* values, BlockQ4_1* block) {
  const Range range = RangeOf(values);
  block->scale = FloatToHalf((range.max - range.min) / 15);
  block->min = FloatToHalf(range.min);
  const float scale = HalfToFloat(block->scale);
  for (int i = 0; i < kQuantBlockSize; ++i) {
    const int level = Level(values[i], HalfToFloat(block->min), scale, 0, 15);
    block->qs[i % 16] = static_cast<uint8_t>(block->qs[i % 16] | (level << (i < 16 ? 0 : 4)));
  }
}

void Fill(const float* values, BlockQ5_0* block) {
  block->scale = FloatToHalf(RangeOf(values).absolute / 15);
  const float scale = HalfToFloat(block->scale);
  for (int i = 0; i < kQuantBlockSize; ++i) SetFiveBits(block, i, Level(values[i], 0, scale, -16, 15) + 16);
}

void Fill(const float* values, BlockQ5_1* block) {
  const Range range = RangeOf(values);
  block->scale = FloatToHalf((range.max - range.min) / 31);
  block->min = FloatToHalf(range.min);
  const float scale = HalfToFloat(block->scale);
  for (int i = 0; i < kQuantBlockSize; ++i) {
    SetFiveBits(block, i, Level(values[i], HalfToFloat(block->min), scale, 0, 31));
  }
}

void Fill(const float* values, BlockQ8_0* block) {
  block->scale = FloatToHalf(RangeOf(values).absolute / 127);
  const float scale = HalfToFloat(block->scale);
  for (int i = 0; i < kQuantBlockSize; ++i)
    block->qs[i] = static_cast<int8_t>(Level(values[i], 0, scale, -127, 127));
}

template <typename Block>
std::string Blocks(std::span<const float> values) {
  CHECK(values.size() % kQuantBlockSize == 0);
  std::string out;
  for (size_t i = 0; i < values.size(); i += kQuantBlockSize) {
    Block block = {};
    Fill(values.data() + i, &block);
    out.append(reinterpret_cast<const char*>(&block), sizeof(block));
  }
  return out;
}

template <typename T, typename Convert>
std::string Elements(std::span<const float> values, Convert convert) {
  std::string out;
  for (const float value : values) {
    const T stored = convert(value);
    out.append(reinterpret_cast<const char*>(&stored), sizeof(stored));
  }
  return out;
}

}  // namespace

std::string Quantize(DType dtype, std::span<const float> values) {
  switch (dtype) {
    case DType::kF32:
      return Elements<float>(values, [](float value) { return value; });
    case DType::kF16:
      return Elements<uint16_t>(values, FloatToHalf);
    case DType::kBF16:
      return Elements<uint16_t>(values, FloatToBFloat16);
    case DType::kQ4_0:
      return Blocks<BlockQ4_0>(values);
    case DType::kQ4_1:
      return Blocks<BlockQ4_1>(values);
    case DType::kQ5_0:
      return Blocks<BlockQ5_0>(values);
    case DType::kQ5_1:
      return Blocks<BlockQ5_1>(values);
    case DType::kQ8_0:
      return Blocks<BlockQ8_0>(values);
    default:
      return QuantizeByGroups(dtype, values);
  }
}

}  // namespace weir
