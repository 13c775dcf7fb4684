#include "engine/synthetic/random_blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "engine/tensor/dequantize.h"
#include "engine/tensor/half.h"

namespace weir {
namespace {

constexpr int kBlocks = 400;

float HalfAt(const std::byte* p) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return HalfToFloat(bits);
}

// The two super-block types, element by element from the description of the format.
float ElementOfQ4K(const std::byte* block, int i) {
  const auto byte = [block](int at) { return static_cast<int>(block[at]); };
  const int part = i / 32;
  int scale, min;
  if (part < 4) {
    scale = byte(4 + part) & 63;
    min = byte(8 + part) & 63;
  } else {
    scale = (byte(8 + part) & 15) | (byte(part) >> 6) << 4;
    min = (byte(8 + part) >> 4) | (byte(4 + part) >> 6) << 4;
  }
  const int packed = byte(16 + i / 64 * 32 + i % 32);
  const int code = i / 32 % 2 == 0 ? packed & 15 : packed >> 4;
  return HalfAt(block) * static_cast<float>(scale * code) - HalfAt(block + 2) * static_cast<float>(min);
}

float ElementOfQ6K(const std::byte* block, int i) {
  const auto byte = [block](int at) { return static_cast<int>(block[at]); };
  const int half = i / 128, quarter = i % 128 / 32, l = i % 32;
  const int low = byte(half * 64 + quarter % 2 * 32 + l) >> (quarter / 2 * 4) & 15;
  const int high = byte(128 + half * 32 + l) >> (quarter * 2) & 3;
  const int scale = static_cast<signed char>(byte(192 + i / 16));
  return HalfAt(block + 208) * static_cast<float>(scale * ((low | high << 4) - 32));
}

std::vector<float> Values(DType dtype, const std::vector<std::byte>& blocks) {
  const DTypeTraits& traits = Traits(dtype);
  std::vector<float> values(static_cast<size_t>(kBlocks) * traits.block_size);
  if (dtype != DType::kQ4_K && dtype != DType::kQ6_K) {
    (void)Dequantize(dtype, blocks, values);
    return values;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const std::byte* block = blocks.data() + i / 256 * traits.block_bytes;
    const int at = static_cast<int>(i % 256);
    values[i] = dtype == DType::kQ4_K ? ElementOfQ4K(block, at) : ElementOfQ6K(block, at);
  }
  return values;
}

TEST(RandomBlocksTest, WeightsOfEveryTypeAreFiniteWithMeanZeroAndTheSameDeviation) {
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
                            DType::kQ4_K, DType::kQ6_K}) {
    ASSERT_TRUE(CanMakeBlocks(dtype));
    std::vector<std::byte> blocks(kBlocks * Traits(dtype).block_bytes);
    FillRandomBlocks(dtype, 7, blocks);
    double sum = 0, squares = 0;
    const std::vector<float> values = Values(dtype, blocks);
    for (const float value : values) {
      ASSERT_TRUE(std::isfinite(value)) << Traits(dtype).name;
      sum += value;
      squares += double{value} * value;
    }
    const double n = static_cast<double>(values.size());
    // 400 values at the least (F16): their mean errs by 0.001, their deviation by 4 %; the block scales add 2 %.
    EXPECT_NEAR(sum / n, 0, 0.004) << Traits(dtype).name;
    EXPECT_NEAR(std::sqrt(squares / n), 0.02, 0.004) << Traits(dtype).name;
  }
}

TEST(RandomBlocksTest, NormsLieAroundOne) {
  std::vector<std::byte> bytes(kBlocks * 4);
  FillRandomBlocks(DType::kF32, 1, bytes);
  for (const float value : Values(DType::kF32, bytes)) EXPECT_NEAR(value, 1.0, 0.1 + 1e-6);
}

TEST(RandomBlocksTest, TheSeedDecidesTheBytes) {
  std::vector<std::byte> a(34 * 8), b(34 * 8), c(34 * 8);
  FillRandomBlocks(DType::kQ8_0, 1, a);
  FillRandomBlocks(DType::kQ8_0, 1, b);
  FillRandomBlocks(DType::kQ8_0, 2, c);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
}

}  // namespace
}  // namespace weir
