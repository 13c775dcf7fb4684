#include "engine/tensor/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "engine/tensor/blocks.h"
#include "engine/tensor/half.h"
#include "engine/tensor/quantize_q4_k.h"

namespace weir {
namespace {

// Of the largest magnitude, with its sign; NaN if one is there.
float Extreme(const float* values) {
  float extreme = 0;
  for (int i = 0; i < kQuantBlockSize; ++i) {
    if (std::isnan(values[i])) return values[i];
    if (std::fabs(values[i]) > std::fabs(extreme)) extreme = values[i];
  }
  return extreme;
}

int Code(float value, float inverse, int low, int high) {
  const float code = std::nearbyint(value * inverse);
  return code >= static_cast<float>(low) ? static_cast<int>(std::min(code, static_cast<float>(high))) : low;
}

BlockQ8_0 ToQ8_0(const float* values) {
  BlockQ8_0 block{};
  const float scale = std::fabs(Extreme(values)) / 127;
  block.scale = FloatToHalf(scale);
  const float inverse = scale > 0 ? 1 / scale : 0;
  for (int i = 0; i < kQuantBlockSize; ++i)
    block.qs[i] = static_cast<int8_t>(Code(values[i], inverse, -127, 127));
  return block;
}

// The extreme becomes the code 0, which stands for -8 scales: the side that reaches further is used whole.
BlockQ4_0 ToQ4_0(const float* values) {
  BlockQ4_0 block{};
  const float scale = Extreme(values) / -8;
  block.scale = FloatToHalf(scale);
  const float inverse = scale != 0 ? 1 / scale : 0;
  for (int i = 0; i < kQuantBlockSize; ++i) {
    const int code = Code(values[i], inverse, -8, 7) + 8;
    block.qs[i % 16] = static_cast<uint8_t>(block.qs[i % 16] | code << (i < 16 ? 0 : 4));
  }
  return block;
}

template <typename Block>
void Convert(std::span<const float> values, std::byte* out, Block (*convert)(const float*),
             size_t block_size = kQuantBlockSize) {
  CHECK(values.size() % block_size == 0);
  for (size_t i = 0; i < values.size(); i += block_size, out += sizeof(Block)) {
    const Block block = convert(values.data() + i);
    std::memcpy(out, &block, sizeof(Block));
  }
}

}  // namespace

void QuantizeRows(DType dtype, std::span<const float> values, std::span<std::byte> out) {
  CHECK(out.size() == values.size() / Traits(dtype).block_size * Traits(dtype).block_bytes);
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out.data(), values.data(), out.size());
      return;
    case DType::kF16:
    case DType::kBF16:
      for (size_t i = 0; i < values.size(); ++i) {
        const uint16_t half = dtype == DType::kF16 ? FloatToHalf(values[i]) : FloatToBFloat16(values[i]);
        std::memcpy(out.data() + 2 * i, &half, 2);
      }
      return;
    case DType::kQ8_0:
      return Convert<BlockQ8_0>(values, out.data(), ToQ8_0);
    case DType::kQ4_0:
      return Convert<BlockQ4_0>(values, out.data(), ToQ4_0);
    case DType::kQ4_K:
      return Convert<BlockQ4_K>(values, out.data(), ToQ4_K, kSuperBlockSize);
    default:
      CHECK(false);
  }
}

}  // namespace weir
