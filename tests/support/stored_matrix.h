// Matrices as a file has them, and their products with rows of which some are a prompt's, for tests of the kernels.
//
// Threads   pure functions
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/matmul.h"
#include "engine/tensor/dequantize.h"
#include "engine/tensor/half.h"
#include "tests/support/block_halves.h"
#include "tests/support/quantize.h"

namespace weir {

inline constexpr DType kTypes[] = {DType::kQ4_1, DType::kQ4_0, DType::kQ8_0, DType::kQ5_0,   DType::kQ5_1,
                                   DType::kF16,  DType::kBF16, DType::kF32,  DType::kQ4_K,   DType::kQ6_K,
                                   DType::kQ5_K, DType::kQ2_K, DType::kQ3_K, DType::kIQ4_NL, DType::kIQ4_XS};

// `columns`, or the fewest above it that a row of the type can have.
inline int WholeBlocks(DType dtype, int columns) {
  const int block = static_cast<int>(Traits(dtype).block_size);
  return (columns + block - 1) / block * block;
}

inline std::vector<float> RandomFloats(size_t count, uint64_t seed, float scale = 1.0f) {
  Rng rng(seed);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(rng.NextDouble() * 2 - 1) * scale;
  return values;
}

struct StoredMatrix {
  DType dtype;
  int in;
  int out;
  std::string bytes;
  std::vector<float> values;  // what the bytes say
};

inline StoredMatrix Store(DType dtype, int in, int out, const std::vector<float>& values) {
  StoredMatrix matrix{dtype, in, out, Quantize(dtype, values), {}};
  matrix.values = DequantizeAll(dtype, std::as_bytes(std::span(matrix.bytes)), values.size());
  return matrix;
}

inline StoredMatrix RandomBlocks(DType dtype, int in, int out) {
  Rng rng(61);
  const size_t block = Traits(dtype).block_bytes;
  const size_t elements = static_cast<size_t>(in) * static_cast<size_t>(out);
  StoredMatrix matrix{dtype, in, out, std::string(elements / Traits(dtype).block_size * block, 0), {}};
  for (char& byte : matrix.bytes) byte = static_cast<char>(rng.NextBelow(256));
  for (size_t at = 0; at < matrix.bytes.size(); at += block)
    for (const size_t half : HalvesOf(dtype)) {
      const uint16_t scale = FloatToHalf(static_cast<float>(rng.NextDouble() - 0.5));
      std::memcpy(matrix.bytes.data() + at + half, &scale, 2);
    }
  matrix.values = DequantizeAll(dtype, std::as_bytes(std::span(matrix.bytes)), elements);
  return matrix;
}

// Rows [0, prompt_rows) are a prompt's; in two ranges if `cut` is not 0. Values beyond the threshold, if there is one, are taken apart.
inline std::vector<float> MultiplyMixed(const KernelTable& kernels, const StoredMatrix& stored,
                                        const std::vector<float>& x, int rows, int prompt_rows,
                                        bool accumulate = false, int strips = 100, int cut = 0,
                                        float threshold = 0) {
  auto matrix = LayOutMatrix(kernels, stored.dtype, stored.in, stored.out, "w");
  EXPECT_TRUE(matrix.has_value());
  std::vector<unsigned char> data(static_cast<size_t>(matrix->bytes()) + 4096);
  matrix->data = data.data();
  EXPECT_TRUE(
      PackStrips(kernels, std::as_bytes(std::span(stored.bytes)), "w", 0, matrix->num_strips(), *matrix)
          .ok());
  const size_t bytes = static_cast<size_t>(MixedTileBytes(kernels, rows, stored.in));
  std::vector<unsigned char> memory(bytes + 64,
                                    0xff);  // as floats, NaN: rows that a tile lacks must not matter
  unsigned char* tiles = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
  const Activations input{tiles, x.data(), rows, stored.in, prompt_rows};
  for (int r = 0; r < rows; ++r)
    for (int column = 0; column < stored.in; column += 32)
      QuantizeRows(kernels, x.data() + int64_t{r} * stored.in + column, 0, r, 1, column, 32, input,
                   threshold > 0 ? &threshold : nullptr);
  // One row more than there are, to be left alone.
  std::vector<float> y(static_cast<size_t>(rows + 1) * static_cast<size_t>(stored.out),
                       accumulate ? 0.5f : -77.0f);
  const auto multiply = [&](const Activations& part, float* out) {
    for (int s = 0; s < matrix->num_strips(); s += strips)
      MultiplyStrips(kernels, *matrix, part, s, std::min(s + strips, matrix->num_strips()),
                     out + int64_t{s} * matrix->strip_rows, stored.out, accumulate);
  };
  if (cut > 0) multiply(RowsOf(kernels, input, 0, cut), y.data());
  multiply(RowsOf(kernels, input, cut, rows - cut), y.data() + int64_t{cut} * stored.out);
  for (int o = 0; o < stored.out; ++o)
    EXPECT_EQ(y[static_cast<size_t>(rows) * static_cast<size_t>(stored.out) + static_cast<size_t>(o)],
              accumulate ? 0.5f : -77.0f);
  y.resize(y.size() - static_cast<size_t>(stored.out));
  return y;
}

class MatMulTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam())) GTEST_SKIP() << "this CPU lacks " << GetParam();
    kernels_ = *SelectKernels(GetParam());
  }
  const KernelTable* kernels_ = nullptr;
};

}  // namespace weir
