#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "engine/kernels/reference/reference.h"
#include "tests/support/stored_matrix.h"

namespace weir {
namespace {

// Of one product. amx rounds both factors to 8 bits of mantissa, each off by 2^-9 of itself at most. avx512bf16 quantizes like the
// reference, and rounds offsets and what they multiply to 8 bits of mantissa. Float sums come on top.
double LargestError(const KernelTable& kernels, std::span<const float> weights, std::span<const float> row,
                    double magnitude) {
  const double sums = 1e-5 * magnitude;
  if (std::string_view(kernels.name) == "amx") return magnitude * (2.0 / 512) + sums;
  return reference::QuantizationError(weights, reference::Quantize(row)) + magnitude / 256 + sums;
}

class PromptMatMulTest : public MatMulTest {};

TEST_P(PromptMatMulTest, AgreesWithTheReferenceForOddShapes) {
  for (const DType dtype : kTypes) {
    if (Traits(dtype).block_size == 1) continue;
    for (const int out : {1, 15, 16, 40})
      for (const int rows : {1, 15, 16, 17, 32, 33, 50})
        for (const bool accumulate : {false, true}) {
          // More columns than are unpacked at a time, for one of the types.
          const int in = WholeBlocks(dtype, dtype == DType::kQ4_1 ? 32 * 53 : 96);
          const auto stored = RandomBlocks(dtype, in, out);
          const auto x = RandomFloats(static_cast<size_t>(in * rows), 11, 3.0f);
          const auto y = MultiplyMixed(*kernels_, stored, x, rows, rows, accumulate);
          for (int r = 0; r < rows; ++r)
            for (int o = 0; o < out; ++o) {
              const std::span<const float> weights(stored.values.data() + o * in, static_cast<size_t>(in));
              const std::span<const float> row(x.data() + r * in, static_cast<size_t>(in));
              const auto exact = reference::DotProduct(weights, row);
              ASSERT_NEAR(y[static_cast<size_t>(r * out + o)], exact.sum + (accumulate ? 0.5 : 0),
                          LargestError(*kernels_, weights, row, exact.magnitude) + 1e-6)
                  << Traits(dtype).name << " " << out << " x " << rows << " row " << r << " out " << o;
            }
        }
  }
}

TEST_P(PromptMatMulTest, IsExactWhereEightBitsAre) {
  // Whole numbers up to 15 times whole numbers up to 127, of which every block has one and the others add up to nothing: nothing is
  // rounded, so a wrong place or factor shows as itself.
  constexpr int kIn = 1024, kOut = 37, kRows = 41;
  std::vector<float> weights(kIn * kOut), x(kIn * kRows);
  Rng rng(81);
  for (size_t i = 0; i < weights.size(); ++i)
    weights[i] = i % 32 == 0 ? 15.0f : static_cast<float>(rng.NextBelow(16));
  for (size_t i = 0; i < weights.size(); i += 32) weights[i + 1] = 0;
  for (size_t i = 0; i < x.size(); i += 2) {
    x[i] = static_cast<float>(rng.NextBelow(255)) - 127.0f;
    x[i + 1] = -x[i];
    if (i % 32 == 0) x[i] = 127.0f, x[i + 1] = 0.0f;
  }
  const auto stored = Store(DType::kQ4_1, kIn, kOut, weights);
  ASSERT_EQ(stored.values, weights);
  const auto y = MultiplyMixed(*kernels_, stored, x, kRows, kRows);
  for (int r = 0; r < kRows; ++r)
    for (int o = 0; o < kOut; ++o)
      ASSERT_EQ(y[static_cast<size_t>(r * kOut + o)],
                reference::DotProduct({weights.data() + o * kIn, kIn}, {x.data() + r * kIn, kIn}).sum);
}

TEST_P(PromptMatMulTest, ARowsBitsDependOnNothingButItself) {
  constexpr int kOut = 53;
  for (const DType dtype : kTypes) {
    if (Traits(dtype).block_size == 1) continue;
    const int in = 1024;
    const auto stored = RandomBlocks(dtype, in, kOut);
    const auto x = RandomFloats(static_cast<size_t>(in * 70), 5);
    const auto row_of = [&](int r) {
      return std::vector<float>(x.begin() + r * in, x.begin() + (r + 1) * in);
    };
    for (const int prompt_rows : {70, 33, 16, 1, 0}) {
      for (const int strips : {100, 1}) {
        const int together = 2 * kernels_->prompts->tile_rows;
        const int cut = strips == 1 ? (prompt_rows - 1) / together * together : 0;
        const auto y = MultiplyMixed(*kernels_, stored, x, 70, prompt_rows, true, strips, cut, 0.97f);
        for (int r = 0; r < 70; ++r) {
          const auto alone =
              MultiplyMixed(*kernels_, stored, row_of(r), 1, r < prompt_rows ? 1 : 0, true, 100, 0, 0.97f);
          ASSERT_EQ(std::memcmp(y.data() + r * kOut, alone.data(), kOut * sizeof(float)), 0)
              << Traits(dtype).name << " row " << r << " with " << prompt_rows << " prompt rows, " << strips
              << " strips at a time";
        }
      }
    }
  }
}

// One value of a block that is much larger than the others costs them nothing: it is as if it were not among them.
TEST_P(PromptMatMulTest, AHugeValueLeavesTheOthersOfItsBlockAlone) {
  constexpr int kIn = 1024, kOut = 37, kRows = 13;
  for (const DType dtype : kTypes) {
    if (Traits(dtype).block_size == 1) continue;
    const auto stored = RandomBlocks(dtype, kIn, kOut);
    const auto small = RandomFloats(kIn * kRows, 9);
    auto x = small;
    // Its own row has one in some blocks, at places that it shares with other rows or not, and others have none.
    const auto huge_at = [](int r, int block) {
      return (r + block) % 3 == 0 ? (r % 2 == 0 ? 7 : 5 * block % 32) : -1;
    };
    for (int r = 0; r < kRows; ++r)
      for (int block = 0; block < kIn / 32; ++block)
        if (huge_at(r, block) >= 0)
          x[static_cast<size_t>(r * kIn + 32 * block + huge_at(r, block))] = r % 2 == 0 ? 500.0f : -300.0f;
    const auto y = MultiplyMixed(*kernels_, stored, x, kRows, kRows, false, 100, 0, 5.0f);
    const auto plain = MultiplyMixed(*kernels_, stored, x, kRows, kRows, false, 100, 0, 0);
    int worse = 0;
    for (int r = 0; r < kRows; ++r)
      for (int o = 0; o < kOut; ++o) {
        const std::span<const float> weights(stored.values.data() + o * kIn, kIn);
        const std::span<const float> row(x.data() + r * kIn, kIn);
        auto others = std::vector<float>(row.begin(), row.end());
        for (int block = 0; block < kIn / 32; ++block)
          if (huge_at(r, block) >= 0) others[static_cast<size_t>(32 * block + huge_at(r, block))] = 0;
        const auto exact = reference::DotProduct(weights, row);
        const auto without = reference::DotProduct(weights, others);
        // A huge value is rounded with its weight at most, like bf16.
        const double tolerance = LargestError(*kernels_, weights, others, without.magnitude) +
                                 (exact.magnitude - without.magnitude) / 256 + 1e-6;
        const size_t at = static_cast<size_t>(r * kOut + o);
        ASSERT_NEAR(y[at], exact.sum, tolerance) << Traits(dtype).name << " row " << r << " out " << o;
        worse += std::fabs(plain[at] - exact.sum) > std::fabs(y[at] - exact.sum);
      }
    if (std::string_view(kernels_->name) != "amx") {
      EXPECT_GT(worse, kRows * kOut * 3 / 4) << Traits(dtype).name;
    }
  }
}

TEST_P(PromptMatMulTest, WhatIsNotFiniteSpoilsItsRowAndNoOther) {
  constexpr int kIn = 96, kOut = 21, kRows = 9;
  const auto stored = Store(DType::kQ4_1, kIn, kOut, RandomFloats(kIn * kOut, 3));
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    for (const int column : {0, 40, 95}) {
      auto x = RandomFloats(kIn * kRows, 4);
      const auto sound = MultiplyMixed(*kernels_, stored, x, kRows, kRows);
      x[static_cast<size_t>(4 * kIn + column)] = bad;
      for (const float threshold : {0.0f, 0.5f}) {
        const auto y = MultiplyMixed(*kernels_, stored, x, kRows, kRows, false, 100, 0, threshold);
        for (int o = 0; o < kOut; ++o)
          ASSERT_FALSE(std::isfinite(y[static_cast<size_t>(4 * kOut + o)])) << bad << " at " << column;
        if (threshold > 0) continue;
        for (int r = 0; r < kRows; ++r) {
          if (r == 4) continue;
          for (int o = 0; o < kOut; ++o)
            ASSERT_EQ(y[static_cast<size_t>(r * kOut + o)], sound[static_cast<size_t>(r * kOut + o)]);
        }
      }
    }
}

// Read back through a matrix that leaves every value as it is.
TEST_P(PromptMatMulTest, SiluMultiplyFillsItsColumnsOfTheTiles) {
  constexpr int kRows = 21, kStride = 40, kColumns = 96;
  std::vector<float> identity(kColumns * kColumns);
  for (int i = 0; i < kColumns; ++i) identity[static_cast<size_t>(i * kColumns + i)] = 127.0f;
  const auto stored = Store(DType::kQ8_0, kColumns, kColumns, identity);
  auto matrix = LayOutMatrix(*kernels_, stored.dtype, kColumns, kColumns, "w");
  ASSERT_TRUE(matrix.has_value());
  std::vector<unsigned char> data(static_cast<size_t>(matrix->bytes()) + 4096);
  matrix->data = data.data();
  ASSERT_TRUE(
      PackStrips(*kernels_, std::as_bytes(std::span(stored.bytes)), "w", 0, matrix->num_strips(), *matrix)
          .ok());
  const auto gate = RandomFloats(kRows * kStride, 21, 12.0f);
  const auto up = RandomFloats(kRows * kStride, 22, 3.0f);
  std::vector<unsigned char> memory(static_cast<size_t>(MixedTileBytes(*kernels_, kRows, kColumns)) + 64,
                                    0xff);
  unsigned char* const tiles = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
  const Activations input{tiles, nullptr, kRows, kColumns, kRows};
  const std::vector<float> zeros(kRows * kColumns);
  QuantizeRows(*kernels_, zeros.data(), kColumns, 0, kRows, 0, kColumns, input);
  kernels_->prompts->silu_multiply(gate.data(), up.data(), kStride, kRows, 32, tiles, kColumns, nullptr);
  std::vector<float> y(kRows * kColumns);
  MultiplyStrips(*kernels_, *matrix, input, 0, matrix->num_strips(), y.data(), kColumns, false);
  for (int r = 0; r < kRows; ++r) {
    const auto expected_at = [&](int c) {
      return reference::SiluMultiply(gate[static_cast<size_t>(r * kStride + c)],
                                     up[static_cast<size_t>(r * kStride + c)]);
    };
    double largest = 0;
    for (int c = 0; c < 32; ++c) largest = std::max(largest, std::fabs(expected_at(c)));
    for (int c = 0; c < kColumns; ++c) {
      const double expected = c < 32 || c >= 64 ? 0 : expected_at(c - 32);
      ASSERT_NEAR(y[static_cast<size_t>(r * kColumns + c)] / 127, expected,
                  c < 32 || c >= 64 ? 0 : largest / 100)
          << r << " " << c;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Paths, PromptMatMulTest, testing::Values("avx512bf16", "amx"),
                         [](const auto& path) { return path.param; });

}  // namespace
}  // namespace weir
