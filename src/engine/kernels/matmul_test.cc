#include "engine/kernels/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/reference/reference.h"
#include "engine/tensor/dequantize.h"
#include "engine/tensor/half.h"
#include "tests/support/quantize.h"

namespace weir {
namespace {

constexpr DType kTypes[] = {DType::kQ4_1, DType::kQ4_0, DType::kQ8_0, DType::kQ5_0,
                            DType::kQ5_1, DType::kF16,  DType::kBF16, DType::kF32};

std::vector<float> RandomFloats(size_t count, uint64_t seed, float scale = 1.0f) {
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

StoredMatrix Store(DType dtype, int in, int out, const std::vector<float>& values) {
  StoredMatrix matrix{dtype, in, out, Quantize(dtype, values), {}};
  matrix.values = DequantizeAll(dtype, std::as_bytes(std::span(matrix.bytes)), values.size());
  return matrix;
}

// Packs, quantizes all rows and multiplies, strip by strip.
std::vector<float> Multiply(const KernelTable& kernels, const StoredMatrix& stored, std::vector<float> x,
                            int rows, bool accumulate = false, bool two_terms = false) {
  auto matrix = LayOutMatrix(kernels, stored.dtype, stored.in, stored.out, "w");
  EXPECT_TRUE(matrix.has_value());
  std::vector<unsigned char> data(static_cast<size_t>(matrix->bytes()) + 4096);
  matrix->data = data.data();
  const Status packed =
      PackStrips(kernels, std::as_bytes(std::span(stored.bytes)), "w", 0, matrix->num_strips(), *matrix);
  EXPECT_TRUE(packed.ok()) << packed.message();
  std::vector<unsigned char> tiles(static_cast<size_t>(ActivationTileBytes(rows, stored.in)));
  std::vector<unsigned char> residual_tiles(two_terms ? tiles.size() : 0);
  const Activations input{tiles.data(), x.data(), rows, stored.in,
                          two_terms ? residual_tiles.data() : nullptr};
  if (matrix->quantized())
    for (int r = 0; r < rows; ++r)
      QuantizeRow(kernels, x.data() + int64_t{r} * stored.in, r, 0, stored.in, input);
  std::vector<float> y(static_cast<size_t>(rows) * static_cast<size_t>(stored.out),
                       accumulate ? 0.5f : -77.0f);
  for (int s = 0; s < matrix->num_strips(); ++s)
    MultiplyStrips(kernels, *matrix, input, s, s + 1, y.data() + int64_t{s} * matrix->strip_rows, stored.out,
                   accumulate);
  return y;
}

void ExpectCloseToReference(const StoredMatrix& stored, const std::vector<float>& x, int rows,
                            const std::vector<float>& y, const std::string& where) {
  const size_t in = static_cast<size_t>(stored.in);
  for (int r = 0; r < rows; ++r) {
    const std::span<const float> row(x.data() + static_cast<size_t>(r) * in, in);
    const auto quantized = reference::Quantize(row);
    for (int o = 0; o < stored.out; ++o) {
      const std::span<const float> w(stored.values.data() + static_cast<size_t>(o) * in, in);
      const double found =
          y[static_cast<size_t>(r) * static_cast<size_t>(stored.out) + static_cast<size_t>(o)];
      const auto exact = reference::DotProduct(w, row);
      if (Traits(stored.dtype).block_size == 1) {
        ASSERT_NEAR(found, exact.sum, 2e-6 * exact.magnitude + 1e-30)
            << where << " row " << r << " out " << o;
        continue;
      }
      const auto same_codes = reference::DotProduct(w, quantized);
      ASSERT_NEAR(found, same_codes.sum, 1e-5 * same_codes.magnitude + 1e-30)
          << where << " row " << r << " out " << o;
      ASSERT_NEAR(found, exact.sum,
                  reference::QuantizationError(w, quantized) + 1e-5 * exact.magnitude + 1e-30)
          << where << " row " << r << " out " << o;
    }
  }
}

class MatMulTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam())) GTEST_SKIP() << "this CPU lacks " << GetParam();
    kernels_ = *SelectKernels(GetParam());
  }
  const KernelTable* kernels_ = nullptr;
};

TEST_P(MatMulTest, AgreesWithTheReferenceForOddShapes) {
  for (const DType dtype : kTypes)
    for (const int out : {1, 3, 7, 15, 17, 40})
      for (const int rows : {1, 2, 5, 8, 9, 17}) {
        const int in = 96;
        const auto stored = Store(dtype, in, out, RandomFloats(static_cast<size_t>(in * out), 7));
        const auto x = RandomFloats(static_cast<size_t>(in * rows), 11, 3.0f);
        ExpectCloseToReference(
            stored, x, rows, Multiply(*kernels_, stored, x, rows),
            std::string(Traits(dtype).name) + " " + std::to_string(out) + " x " + std::to_string(rows));
        if (HasFatalFailure()) return;
      }
}

TEST_P(MatMulTest, ARowsBitsDoNotDependOnHowManyRowsThereAre) {
  constexpr int kIn = 160;
  constexpr int kOut = 35;
  for (const DType dtype : kTypes) {
    const auto stored = Store(dtype, kIn, kOut, RandomFloats(kIn * kOut, 3));
    const auto x = RandomFloats(kIn * 33, 5);
    std::vector<float> alone;
    for (int r = 0; r < 33; ++r) {
      const std::vector<float> row(x.begin() + r * kIn, x.begin() + (r + 1) * kIn);
      const auto y = Multiply(*kernels_, stored, row, 1);
      alone.insert(alone.end(), y.begin(), y.end());
    }
    for (int rows = 1; rows <= 33; ++rows) {
      const auto y = Multiply(*kernels_, stored, {x.begin(), x.begin() + rows * kIn}, rows);
      ASSERT_EQ(std::memcmp(y.data(), alone.data(), y.size() * sizeof(float)), 0)
          << Traits(dtype).name << " with " << rows << " rows";
    }
  }
}

TEST_P(MatMulTest, EveryPathGivesTheSameBits) {
  constexpr int kIn = 576;
  constexpr int kOut = 50;
  const KernelTable& generic = **SelectKernels("generic");
  for (const DType dtype : kTypes) {
    const auto stored = Store(dtype, kIn, kOut, RandomFloats(kIn * kOut, 13));
    const auto x = RandomFloats(kIn * 19, 17);
    const auto expected = Multiply(generic, stored, x, 19);
    const auto found = Multiply(*kernels_, stored, x, 19);
    ASSERT_EQ(std::memcmp(expected.data(), found.data(), found.size() * sizeof(float)), 0)
        << Traits(dtype).name;
  }
}

TEST_P(MatMulTest, AccumulatingAddsToWhatIsThere) {
  constexpr int kIn = 64;
  constexpr int kOut = 21;
  for (const DType dtype : kTypes) {
    const auto stored = Store(dtype, kIn, kOut, RandomFloats(kIn * kOut, 19));
    const auto x = RandomFloats(kIn * 3, 23);
    const auto plain = Multiply(*kernels_, stored, x, 3);
    const auto added = Multiply(*kernels_, stored, x, 3, true);
    for (size_t i = 0; i < plain.size(); ++i) ASSERT_EQ(added[i], 0.5f + plain[i]) << Traits(dtype).name;
  }
}

TEST_P(MatMulTest, LargestCodesDoNotSaturate) {
  constexpr int kIn = 1536;
  constexpr int kOut = 17;
  for (const DType dtype : kTypes) {
    std::vector<float> weights(kIn * kOut);
    // Each block of 32 spans the type's whole range, and nearly all codes are the largest in magnitude.
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = i % 32 == 0 ? 15.0f : -16.0f;
    auto stored = Store(dtype, kIn, kOut, weights);
    for (const float sign : {1.0f, -1.0f}) {
      const std::vector<float> x(kIn * 9, 127.0f * sign);
      ExpectCloseToReference(stored, x, 9, Multiply(*kernels_, stored, x, 9),
                             std::string(Traits(dtype).name));
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(MatMulTest, ByteCodeOfMinus128IsExact) {
  StoredMatrix stored{DType::kQ8_0, 32, 1, std::string(34, '\x80'), {}};
  const uint16_t one = FloatToHalf(1.0f);
  std::memcpy(stored.bytes.data(), &one, 2);
  const auto y = Multiply(*kernels_, stored, std::vector<float>(32, 127.0f), 1);
  EXPECT_EQ(y[0], -128.0f * 127.0f * 32.0f);
}

TEST_P(MatMulTest, ZeroBlocksAndDenormalScales) {
  constexpr int kIn = 64;
  for (const DType dtype : kTypes) {
    const auto zeros = Store(dtype, kIn, 5, std::vector<float>(kIn * 5, 0.0f));
    const auto x = RandomFloats(kIn * 2, 29);
    for (const float v : Multiply(*kernels_, zeros, x, 2)) ASSERT_EQ(v, 0.0f) << Traits(dtype).name;
    const auto tiny = Store(dtype, kIn, 5, RandomFloats(kIn * 5, 31, 3e-6f));
    ExpectCloseToReference(tiny, x, 2, Multiply(*kernels_, tiny, x, 2), std::string(Traits(dtype).name));
    if (HasFatalFailure()) return;
    const auto usual = Store(dtype, kIn, 5, RandomFloats(kIn * 5, 37));
    for (const float v : Multiply(*kernels_, usual, std::vector<float>(kIn * 2, 0.0f), 2)) ASSERT_EQ(v, 0.0f);
  }
}

// One huge value per block leaves the others few of the eight bits; the second term gives them back.
TEST_P(MatMulTest, TwoTermsAreAsGoodAsSixteenBitsAndIgnoreTheirNeighbours) {
  for (const DType dtype : {DType::kQ4_1, DType::kQ8_0, DType::kQ4_0}) {
    constexpr int kIn = 96, kOut = 37, kRows = 19;
    const auto stored = Store(dtype, kIn, kOut, RandomFloats(kIn * kOut, 51));
    std::vector<float> x = RandomFloats(kIn * kRows, 53);
    for (size_t i = 5; i < x.size(); i += 32) x[i] *= 300.0f;
    const std::vector<float> y = Multiply(*kernels_, stored, x, kRows, false, true);
    for (int r = 0; r < kRows; ++r) {
      const std::vector<float> row(x.begin() + r * kIn, x.begin() + (r + 1) * kIn);
      const std::vector<float> alone = Multiply(*kernels_, stored, row, 1, false, true);
      const auto quantized = reference::Quantize(row);
      for (int o = 0; o < kOut; ++o) {
        const std::span<const float> w(stored.values.data() + o * kIn, kIn);
        ASSERT_EQ(y[static_cast<size_t>(r * kOut + o)], alone[static_cast<size_t>(o)]);
        const auto exact = reference::DotProduct(w, row);
        // The residual's own step is at least 254 times smaller.
        ASSERT_NEAR(alone[static_cast<size_t>(o)], exact.sum,
                    reference::QuantizationError(w, quantized) / 254 + 1e-5 * exact.magnitude)
            << Traits(dtype).name << " row " << r << " out " << o;
      }
    }
  }
}

TEST_P(MatMulTest, QuantizedRowsEqualTheReference) {
  constexpr int kColumns = 256;
  for (const float scale : {1.0f, 1e-20f, 1e20f, 1e-36f, 0.0f}) {
    const auto x = RandomFloats(kColumns, 41, scale);
    const auto expected = reference::Quantize(x);
    for (const int tile_rows : {1, 3, 8}) {
      std::vector<unsigned char> tile(static_cast<size_t>(ActivationTileBytes(tile_rows, kColumns)));
      const int t = tile_rows - 1;
      kernels_->quantize(x.data(), kColumns, tile.data(), tile_rows, t, nullptr);
      for (int b = 0; b < kColumns / 32; ++b) {
        const unsigned char* block = tile.data() + b * tile_rows * kActivationBlockBytes;
        for (int k = 0; k < 32; ++k)
          ASSERT_EQ(static_cast<signed char>(block[32 * t + k]),
                    expected.codes[static_cast<size_t>(32 * b + k)]);
        float scales[2];
        int32_t start;
        std::memcpy(&scales[0], block + 32 * tile_rows + 4 * t, 4);
        std::memcpy(&scales[1], block + 36 * tile_rows + 4 * t, 4);
        std::memcpy(&start, block + 40 * tile_rows + 4 * t, 4);
        const size_t at = static_cast<size_t>(b);
        ASSERT_EQ(scales[0], expected.scales[at]);
        ASSERT_EQ(scales[1], expected.scales[at] * static_cast<float>(expected.sums[at]));
        ASSERT_EQ(start, -128 * expected.sums[at]);
      }
    }
  }
}

TEST_P(MatMulTest, UnpackedRowIsWhatTheFileSays) {
  for (const DType dtype : kTypes) {
    const auto stored = Store(dtype, 64, 19, RandomFloats(64 * 19, 43));
    auto matrix = LayOutMatrix(*kernels_, dtype, 64, 19, "w");
    ASSERT_TRUE(matrix.has_value());
    std::vector<unsigned char> data(static_cast<size_t>(matrix->bytes()));
    matrix->data = data.data();
    ASSERT_TRUE(
        PackStrips(*kernels_, std::as_bytes(std::span(stored.bytes)), "w", 0, matrix->num_strips(), *matrix)
            .ok());
    std::vector<float> row(64);
    for (int r = 0; r < 19; ++r) {
      UnpackRow(*kernels_, *matrix, r, row.data());
      ASSERT_EQ(std::memcmp(row.data(), stored.values.data() + r * 64, 64 * sizeof(float)), 0)
          << Traits(dtype).name;
    }
  }
}

TEST_P(MatMulTest, ScalesThatAreNotFiniteAreRefusedByPlace) {
  for (const DType dtype : kTypes) {
    auto stored = Store(dtype, 64, 4, RandomFloats(64 * 4, 47));
    // The last row's last block, or last element of a float type: 0xffff is a NaN in every half-width format.
    const size_t at = Traits(dtype).block_size == 1 ? stored.bytes.size() - Traits(dtype).block_bytes
                                                    : stored.bytes.size() - Traits(dtype).block_bytes;
    std::memset(stored.bytes.data() + at, 0xff, dtype == DType::kF32 ? 4 : 2);
    auto matrix = LayOutMatrix(*kernels_, dtype, 64, 4, "blk.0.w");
    ASSERT_TRUE(matrix.has_value());
    std::vector<unsigned char> data(static_cast<size_t>(matrix->bytes()));
    matrix->data = data.data();
    const Status status = PackStrips(*kernels_, std::as_bytes(std::span(stored.bytes)), "blk.0.w", 0,
                                     matrix->num_strips(), *matrix);
    ASSERT_EQ(status.code(), StatusCode::kDataLoss) << Traits(dtype).name;
    EXPECT_NE(status.message().find("blk.0.w: row 3"), std::string::npos) << status.message();
  }
}

TEST_P(MatMulTest, TypesWithoutAKernelAreNamed) {
  const auto matrix = LayOutMatrix(*kernels_, DType::kQ6_K, 256, 4, "blk.1.ffn_up.weight");
  ASSERT_FALSE(matrix.has_value());
  EXPECT_EQ(matrix.error().code(), StatusCode::kUnimplemented);
  EXPECT_NE(matrix.error().message().find("blk.1.ffn_up.weight: type Q6_K"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Paths, MatMulTest, testing::Values("generic", "avx2", "avx512vnni"),
                         [](const auto& path) { return path.param; });

}  // namespace
}  // namespace weir
