#include "engine/tensor/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/rng.h"
#include "engine/tensor/dequantize.h"

namespace weir {
namespace {

std::vector<std::byte> Quantized(DType dtype, const std::vector<float>& values) {
  std::vector<std::byte> out(values.size() / Traits(dtype).block_size * Traits(dtype).block_bytes);
  QuantizeRows(dtype, values, out);
  return out;
}

TEST(QuantizeRowsTest, NoValueMovesByMoreThanAStepOfItsBlock) {
  Rng rng(3);
  std::vector<float> values(32 * 50);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(rng.NextNormal() * std::pow(10.0, static_cast<double>(i / 32) / 10 - 3));
  for (size_t i = 0; i < 32; ++i) values[i] = 0.0f;
  struct Case {
    DType dtype;
    float step;  // as a share of the block's largest value; half of it and rounding of the scale
  };
  for (const Case& c : {Case{DType::kQ8_0, 0.5f / 127 + 1e-3f}, Case{DType::kQ4_0, 1.0f / 8 + 1e-3f},
                        Case{DType::kF16, 1e-3f}, Case{DType::kBF16, 4e-3f}, Case{DType::kF32, 0.0f}}) {
    const auto back = DequantizeAll(c.dtype, Quantized(c.dtype, values), values.size());
    for (size_t block = 0; block < values.size(); block += 32) {
      float largest = 0;
      for (size_t i = block; i < block + 32; ++i) largest = std::max(largest, std::fabs(values[i]));
      for (size_t i = block; i < block + 32; ++i)
        ASSERT_LE(std::fabs(back[i] - values[i]), largest * c.step + 1e-7f)
            << Traits(c.dtype).name << " " << i;
    }
  }
}

// Groups of 32 with their own range, beside groups that are a thousand times smaller, of one sign, or all equal.
std::vector<float> Uneven() {
  Rng rng(4);
  std::vector<float> values(256 * 40);
  for (size_t i = 0; i < values.size(); ++i) {
    const double normal = rng.NextNormal();
    const size_t group = i / 32;
    values[i] = static_cast<float>(group % 7 == 3   ? std::fabs(normal) + 1
                                   : group % 7 == 4 ? -std::fabs(normal) - 1
                                   : group % 7 == 5 ? 0.25
                                   : group % 7 == 6 ? 0
                                                    : normal * (group % 2 == 0 ? 1 : 0.3));
  }
  return values;
}

TEST(QuantizeRowsTest, Q4KMovesNoValueByMoreThanAStepOfItsGroup) {
  const auto values = Uneven();
  const auto back = DequantizeAll(DType::kQ4_K, Quantized(DType::kQ4_K, values), values.size());
  for (size_t block = 0; block < values.size(); block += 256) {
    float largest = 0;  // range of a group of this block: small scales are shares of the largest
    for (size_t group = block; group < block + 256; group += 32) {
      float low = 0, high = 0;
      for (size_t i = group; i < group + 32; ++i) {
        low = std::min(low, values[i]);
        high = std::max(high, values[i]);
      }
      largest = std::max(largest, high - low);
    }
    for (size_t i = block; i < block + 256; ++i)
      ASSERT_LE(std::fabs(back[i] - values[i]), largest / 15 + largest / 63) << i;
  }
}

TEST(QuantizeRowsTest, Q4KIsCloserThanQ4_0) {
  const auto values = Uneven();
  const auto error = [&](DType dtype) {
    const auto back = DequantizeAll(dtype, Quantized(dtype, values), values.size());
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) sum += std::pow(double{back[i]} - double{values[i]}, 2);
    return sum;
  };
  EXPECT_LT(error(DType::kQ4_K), 0.75 * error(DType::kQ4_0));
}

TEST(QuantizeRowsTest, WhatIsNotFiniteStaysSo) {
  for (const float unsound : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity()})
    for (const DType dtype : {DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kF16, DType::kBF16}) {
      std::vector<float> values(256, 1.0f);
      values[7] = unsound;
      const auto back = DequantizeAll(dtype, Quantized(dtype, values), values.size());
      bool finite = true;
      for (const float value : back) finite = finite && std::isfinite(value);
      EXPECT_FALSE(finite) << Traits(dtype).name << " " << unsound;
    }
}

}  // namespace
}  // namespace weir
