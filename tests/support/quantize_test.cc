#include "tests/support/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "engine/tensor/dequantize.h"

namespace weir {
namespace {

TEST(QuantizeTest, ReadingBackStaysWithinHalfAStep) {
  struct Case {
    DType dtype;
    double tolerance;  // of a block whose values span about [-1, 1]
  };
  const Case cases[] = {{DType::kF32, 0},
                        {DType::kF16, 0x1p-11},
                        {DType::kBF16, 0x1p-8},
                        {DType::kQ8_0, 0.5 / 127},
                        {DType::kQ4_0, 0.5 / 7},
                        {DType::kQ4_1, 0.5 * 2 / 15},
                        {DType::kQ5_0, 0.5 / 15},
                        {DType::kQ5_1, 0.5 * 2 / 31},
                        // Small scales and mins are rounded too.
                        {DType::kQ6_K, 0.5 / 31 + 0.5 / 127},
                        {DType::kQ5_K, 1.0 / 31 + 1.5 / 63},
                        {DType::kQ4_K, 1.0 / 15 + 1.5 / 63},
                        {DType::kQ3_K, 0.5 / 3 + 0.5 / 31},
                        {DType::kQ2_K, 1.0 / 3 + 1.5 / 15},
                        {DType::kIQ4_NL, 12.0 / 113},
                        {DType::kIQ4_XS, 12.0 / 113 + 0.5 / 31}};
  Rng rng(7);
  std::vector<float> values(8 * 32);
  for (float& value : values) value = static_cast<float>(2 * rng.NextDouble() - 1);
  for (const Case& c : cases) {
    const std::string bytes = Quantize(c.dtype, values);
    EXPECT_EQ(bytes.size(), values.size() / Traits(c.dtype).block_size * Traits(c.dtype).block_bytes);
    const auto back = DequantizeAll(c.dtype, std::as_bytes(std::span(bytes)), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      // A little more than half a step, because scale and min are rounded to half precision themselves.
      EXPECT_NEAR(back[i], values[i], c.tolerance * 1.02 + (c.tolerance == 0 ? 0 : 0.001))
          << Traits(c.dtype).name;
    }
  }
}

TEST(QuantizeTest, ABlockOfZerosStaysZero) {
  const std::vector<float> zeros(256, 0.0f);
  for (const DType dtype :
       {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ2_K, DType::kQ3_K,
        DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kIQ4_XS}) {
    const std::string bytes = Quantize(dtype, zeros);
    const auto back = DequantizeAll(dtype, std::as_bytes(std::span(bytes)), 256);
    EXPECT_EQ(back, zeros) << Traits(dtype).name;
  }
}

}  // namespace
}  // namespace weir
