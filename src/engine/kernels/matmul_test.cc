#include "engine/kernels/matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/reference/reference.h"
#include "engine/tensor/dequantize.h"
#include "engine/tensor/half.h"
#include "tests/support/quantize.h"
#include "tests/support/quantize_groups.h"
#include "tests/support/stored_matrix.h"

namespace weir {
namespace {

// No block of the tests' rows has a value as large.
constexpr float kNoOutliers = 1e37f;

// Packs, quantizes all rows and multiplies, `strips` at a time. Values beyond the threshold are taken out of their blocks.
std::vector<float> Multiply(const KernelTable& kernels, const StoredMatrix& stored, std::vector<float> x,
                            int rows, bool accumulate = false, float threshold = kNoOutliers,
                            int strips = 100) {
  auto matrix = LayOutMatrix(kernels, stored.dtype, stored.in, stored.out, "w");
  EXPECT_TRUE(matrix.has_value());
  std::vector<unsigned char> data(static_cast<size_t>(matrix->bytes()) + 4096);
  matrix->data = data.data();
  const Status packed =
      PackStrips(kernels, std::as_bytes(std::span(stored.bytes)), "w", 0, matrix->num_strips(), *matrix);
  EXPECT_TRUE(packed.ok()) << packed.message();
  // What lies there from earlier must not count.
  std::vector<unsigned char> tiles(static_cast<size_t>(ActivationTileBytes(rows, stored.in)), 0x5a);
  const Activations input{tiles.data(), x.data(), rows, stored.in};
  if (matrix->quantized())
    for (int r = 0; r < rows; ++r)
      QuantizeRows(kernels, x.data() + int64_t{r} * stored.in, 0, r, 1, 0, stored.in, input, &threshold);
  std::vector<float> y(static_cast<size_t>(rows) * static_cast<size_t>(stored.out),
                       accumulate ? 0.5f : -77.0f);
  for (int s = 0; s < matrix->num_strips(); s += strips)
    MultiplyStrips(kernels, *matrix, input, s, std::min(s + strips, matrix->num_strips()),
                   y.data() + int64_t{s} * matrix->strip_rows, stored.out, accumulate);
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

TEST_P(MatMulTest, AgreesWithTheReferenceForOddShapes) {
  for (const DType dtype : kTypes)
    for (const int out : {1, 3, 7, 15, 17, 40})
      for (const int rows : {1, 2, 5, 8, 9, 17}) {
        const int in = WholeBlocks(dtype, 96);
        const auto stored = Store(dtype, in, out, RandomFloats(static_cast<size_t>(in * out), 7));
        const auto x = RandomFloats(static_cast<size_t>(in * rows), 11, 3.0f);
        ExpectCloseToReference(
            stored, x, rows, Multiply(*kernels_, stored, x, rows),
            std::string(Traits(dtype).name) + " " + std::to_string(out) + " x " + std::to_string(rows));
        if (HasFatalFailure()) return;
      }
}

TEST_P(MatMulTest, ARowsBitsDoNotDependOnHowManyRowsThereAre) {
  constexpr int kOut = 35;
  for (const DType dtype : kTypes) {
    const int in = WholeBlocks(dtype, 160);
    const auto stored = Store(dtype, in, kOut, RandomFloats(static_cast<size_t>(in * kOut), 3));
    const auto x = RandomFloats(static_cast<size_t>(in * 33), 5);
    std::vector<float> alone;
    for (int r = 0; r < 33; ++r) {
      const std::vector<float> row(x.begin() + r * in, x.begin() + (r + 1) * in);
      const auto y = Multiply(*kernels_, stored, row, 1);
      alone.insert(alone.end(), y.begin(), y.end());
    }
    for (int rows = 1; rows <= 33; ++rows) {
      const auto y = Multiply(*kernels_, stored, {x.begin(), x.begin() + rows * in}, rows);
      ASSERT_EQ(std::memcmp(y.data(), alone.data(), y.size() * sizeof(float)), 0)
          << Traits(dtype).name << " with " << rows << " rows";
    }
  }
}

// More tiles and blocks than any path takes together, odd ends, and values taken out of some blocks of some rows, in columns that
// they share or not.
TEST_P(MatMulTest, ManyRowsHaveTheBitsOfEachAlone) {
  constexpr int kOut = 53;
  for (const DType dtype : kTypes) {
    const bool quantized = Traits(dtype).block_size != 1;
    const int in = quantized ? 1024 : 32;
    const auto stored = Store(dtype, in, kOut, RandomFloats(static_cast<size_t>(in * kOut), 61));
    auto x = RandomFloats(static_cast<size_t>(in * 277), 67);
    for (size_t i = 0; i < x.size(); i += i % 2 == 0 ? 3 * 32 + 7 : static_cast<size_t>(in) + 1) x[i] *= 40;
    std::vector<float> alone;
    for (int r = 0; r < 277; ++r) {
      const std::vector<float> row(x.begin() + r * in, x.begin() + (r + 1) * in);
      const auto y = Multiply(*kernels_, stored, row, 1, false, 2.0f);
      alone.insert(alone.end(), y.begin(), y.end());
    }
    for (const int rows : {47, 48, 49, 63, 64, 65, 100, 277}) {
      const auto y = Multiply(*kernels_, stored, {x.begin(), x.begin() + rows * in}, rows, false, 2.0f);
      ASSERT_EQ(std::memcmp(y.data(), alone.data(), y.size() * sizeof(float)), 0)
          << Traits(dtype).name << " with " << rows << " rows";
    }
  }
}

TEST_P(MatMulTest, AValueIsTakenOutWhereItIsBeyondTheThresholdAndTheOthersOfItsBlock) {
  constexpr int kIn = 256;
  constexpr int kOut = 20;
  const auto stored = Store(DType::kQ4_1, kIn, kOut, RandomFloats(kIn * kOut, 71));
  auto x = RandomFloats(kIn, 73);
  x[40] = 50;  // in the second block
  x[140] = 50;
  x[141] = 40;  // beside another as large, which would be left
  const auto error_beyond = [&](float threshold) {
    const auto y = Multiply(*kernels_, stored, x, 1, false, threshold);
    double error = 0;
    for (int o = 0; o < kOut; ++o)
      error += std::fabs(y[static_cast<size_t>(o)] -
                         reference::DotProduct({stored.values.data() + o * kIn, kIn}, x).sum);
    return error;
  };
  const double none = error_beyond(kNoOutliers);
  EXPECT_EQ(error_beyond(60.0f), none);
  const double one = error_beyond(10.0f);
  EXPECT_NE(one, none);
  x[140] = x[141] = 0.5f;
  EXPECT_LT(error_beyond(10.0f), error_beyond(kNoOutliers) / 10);
  x[140] = 50;
  x[141] = 30;
  EXPECT_LT(error_beyond(10.0f), one);  // 30 is what the others are divided by, not 50
}

TEST_P(MatMulTest, EveryPathGivesTheSameBits) {
  constexpr int kOut = 50;
  const KernelTable& generic = **SelectKernels("generic");
  for (const DType dtype : kTypes) {
    const int in = WholeBlocks(dtype, 576);
    const auto stored = Store(dtype, in, kOut, RandomFloats(static_cast<size_t>(in * kOut), 13));
    auto x = RandomFloats(static_cast<size_t>(in * 19), 17);
    for (size_t i = 0; i < x.size(); i += 71) x[i] *= 40;  // every column of a block has its turn
    for (const float threshold : {kNoOutliers, 2.0f}) {
      const auto expected = Multiply(generic, stored, x, 19, false, threshold);
      const auto found = Multiply(*kernels_, stored, x, 19, false, threshold);
      ASSERT_EQ(std::memcmp(expected.data(), found.data(), found.size() * sizeof(float)), 0)
          << Traits(dtype).name << " beyond " << threshold;
    }
  }
}

TEST_P(MatMulTest, ARangeOfStripsGivesTheBitsOfItsParts) {
  constexpr int kOut = 139;
  for (const DType dtype : kTypes) {
    const int in = WholeBlocks(dtype, 96);
    const auto stored = Store(dtype, in, kOut, RandomFloats(static_cast<size_t>(in * kOut), 63));
    const auto x = RandomFloats(static_cast<size_t>(in * 9), 67);
    for (const int rows : {1, 2, 3, 4, 5, 8, 9}) {
      const std::vector<float> some(x.begin(), x.begin() + rows * in);
      const auto whole = Multiply(*kernels_, stored, some, rows);
      for (const int strips : {1, 2, 3, 7}) {
        const auto parts = Multiply(*kernels_, stored, some, rows, false, kNoOutliers, strips);
        ASSERT_EQ(std::memcmp(parts.data(), whole.data(), whole.size() * sizeof(float)), 0)
            << Traits(dtype).name << " " << rows << " rows, " << strips << " strips at a time";
      }
    }
  }
}

TEST_P(MatMulTest, AccumulatingAddsToWhatIsThere) {
  constexpr int kOut = 21;
  for (const DType dtype : kTypes) {
    const int in = WholeBlocks(dtype, 64);
    const auto stored = Store(dtype, in, kOut, RandomFloats(static_cast<size_t>(in * kOut), 19));
    const auto x = RandomFloats(static_cast<size_t>(in * 3), 23);
    const auto plain = Multiply(*kernels_, stored, x, 3);
    const auto added = Multiply(*kernels_, stored, x, 3, true);
    for (size_t i = 0; i < plain.size(); ++i) ASSERT_EQ(added[i], 0.5f + plain[i]) << Traits(dtype).name;
  }
}

TEST_P(MatMulTest, LargestCodesDoNotSaturate) {
  constexpr int kOut = 17;
  for (const DType dtype : kTypes) {
    const int in = WholeBlocks(dtype, 1536);
    std::vector<float> weights(in * kOut);
    // Each block of 32 spans the type's whole range, and nearly all codes are the largest in magnitude.
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = i % 32 == 0 ? 15.0f : -16.0f;
    auto stored = Store(dtype, in, kOut, weights);
    for (const float sign : {1.0f, -1.0f}) {
      const std::vector<float> x(in * 9, 127.0f * sign);
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
  for (const DType dtype : kTypes) {
    const int in = WholeBlocks(dtype, 64);
    const auto zeros = Store(dtype, in, 5, std::vector<float>(in * 5, 0.0f));
    const auto x = RandomFloats(static_cast<size_t>(in * 2), 29);
    for (const float v : Multiply(*kernels_, zeros, x, 2)) ASSERT_EQ(v, 0.0f) << Traits(dtype).name;
    const auto tiny = Store(dtype, in, 5, RandomFloats(static_cast<size_t>(in * 5), 31, 3e-6f));
    ExpectCloseToReference(tiny, x, 2, Multiply(*kernels_, tiny, x, 2), std::string(Traits(dtype).name));
    if (HasFatalFailure()) return;
    const auto usual = Store(dtype, in, 5, RandomFloats(static_cast<size_t>(in * 5), 37));
    for (const float v : Multiply(*kernels_, usual, std::vector<float>(in * 2, 0.0f), 2)) ASSERT_EQ(v, 0.0f);
  }
}

// One huge value per block costs the others nothing: it is as if it were not among them.
TEST_P(MatMulTest, AHugeValueLeavesTheOthersOfItsBlockAloneAndIgnoresItsNeighbours) {
  for (const DType dtype : kTypes) {
    if (Traits(dtype).block_size == 1) continue;
    constexpr int kOut = 37, kRows = 19;
    const int in = WholeBlocks(dtype, 96);
    const size_t columns = static_cast<size_t>(in);
    const auto stored = RandomBlocks(dtype, in, kOut);
    std::vector<float> x = RandomFloats(columns * kRows, 53);
    std::vector<float> others = x;
    for (size_t i = 5; i < x.size(); i += i % 3 == 0 ? 33 : 32) {
      x[i] *= 300.0f;
      if (std::fabs(x[i]) > 2) others[i] = 0;
    }
    const std::vector<float> y = Multiply(*kernels_, stored, x, kRows, false, 2.0f);
    for (size_t r = 0; r < kRows; ++r) {
      const std::span<const float> row(x.data() + r * columns, columns);
      const std::vector<float> alone = Multiply(*kernels_, stored, {row.begin(), row.end()}, 1, false, 2.0f);
      const auto rest = reference::Quantize({others.data() + r * columns, columns});
      for (size_t o = 0; o < kOut; ++o) {
        const std::span<const float> w(stored.values.data() + o * columns, columns);
        ASSERT_EQ(y[r * kOut + o], alone[o]);
        const auto exact = reference::DotProduct(w, row);
        ASSERT_NEAR(alone[o], exact.sum,
                    reference::QuantizationError(w, rest) + 1e-5 * exact.magnitude + 1e-30)
            << Traits(dtype).name << " row " << r << " out " << o;
      }
    }
  }
}

TEST_P(MatMulTest, RowsQuantizedTogetherEqualRowsAlone) {
  constexpr int kColumns = 96;
  constexpr int kRows = 8;
  auto x = RandomFloats(kRows * kColumns, 43);
  std::fill_n(x.begin() + kColumns, 32, 0.0f);  // a block of nothing
  for (size_t i = 0; i < x.size(); i += 101) x[i] *= 40;
  std::vector<float> thresholds;
  for (int r = 0; r < kRows; ++r) thresholds.push_back(r == 5 ? 1e30f : 4.0f);
  for (int tile_rows = 1; tile_rows <= kRows; ++tile_rows)
    for (int first = 0; first < tile_rows; ++first)
      for (const bool with_thresholds : {false, true}) {
        const size_t bytes = static_cast<size_t>(ActivationTileBytes(tile_rows, kColumns));
        std::vector<unsigned char> together(bytes, 0x5a);
        std::vector<unsigned char> alone(bytes, 0x5a);
        const float* from = x.data() + first * kColumns;
        kernels_->quantize(from, kColumns, tile_rows - first, kColumns, together.data(), tile_rows, first,
                           with_thresholds ? &thresholds[static_cast<size_t>(first)] : nullptr);
        for (int t = first; t < tile_rows; ++t)
          kernels_->quantize(x.data() + t * kColumns, kColumns, 1, kColumns, alone.data(), tile_rows, t,
                             with_thresholds ? &thresholds[static_cast<size_t>(t)] : nullptr);
        ASSERT_EQ(together, alone) << tile_rows << " rows from " << first;
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
      kernels_->quantize(x.data(), 0, 1, kColumns, tile.data(), tile_rows, t, nullptr);
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
        const auto* codes = expected.codes.data() + 32 * at;
        const int first = std::accumulate(codes, codes + 16, 0);
        int32_t halves[2];
        int16_t pair[2];
        std::memcpy(&halves[0], block + 44 * tile_rows + 4 * t, 4);
        std::memcpy(&halves[1], block + 48 * tile_rows + 4 * t, 4);
        std::memcpy(pair, block + 52 * tile_rows + 4 * t, 4);
        ASSERT_EQ(halves[0], -32 * first);
        ASSERT_EQ(halves[1], -32 * (expected.sums[at] - first));
        ASSERT_EQ(pair[0], first);
        ASSERT_EQ(pair[1], expected.sums[at] - first);
      }
    }
  }
}

TEST_P(MatMulTest, UnpackedRowIsWhatTheFileSays) {
  for (const DType dtype : kTypes) {
    const int in = WholeBlocks(dtype, 64);
    const size_t columns = static_cast<size_t>(in);
    const auto stored = Store(dtype, in, 19, RandomFloats(columns * 19, 43));
    auto matrix = LayOutMatrix(*kernels_, dtype, in, 19, "w");
    ASSERT_TRUE(matrix.has_value());
    std::vector<unsigned char> data(static_cast<size_t>(matrix->bytes()));
    matrix->data = data.data();
    ASSERT_TRUE(
        PackStrips(*kernels_, std::as_bytes(std::span(stored.bytes)), "w", 0, matrix->num_strips(), *matrix)
            .ok());
    std::vector<float> row(columns);
    for (int r = 0; r < 19; ++r) {
      UnpackRow(*kernels_, *matrix, r, row.data());
      ASSERT_EQ(std::memcmp(row.data(), stored.values.data() + r * in, columns * sizeof(float)), 0)
          << Traits(dtype).name;
    }
  }
}

TEST_P(MatMulTest, ScalesThatAreNotFiniteAreRefusedByPlace) {
  for (const DType dtype : kTypes) {
    const int in = 2 * WholeBlocks(dtype, 32);
    const size_t block = Traits(dtype).block_bytes;
    for (const size_t at : HalvesOf(dtype)) {
      auto stored = Store(dtype, in, 4, RandomFloats(static_cast<size_t>(in) * 4, 47));
      // The last row's last block, or last element of a float type: 0xffff is a NaN in every half-width format.
      std::memset(stored.bytes.data() + stored.bytes.size() - block + at, 0xff, dtype == DType::kF32 ? 4 : 2);
      auto matrix = LayOutMatrix(*kernels_, dtype, in, 4, "blk.0.w");
      ASSERT_TRUE(matrix.has_value());
      std::vector<unsigned char> data(static_cast<size_t>(matrix->bytes()));
      matrix->data = data.data();
      const Status status = PackStrips(*kernels_, std::as_bytes(std::span(stored.bytes)), "blk.0.w", 0,
                                       matrix->num_strips(), *matrix);
      ASSERT_EQ(status.code(), StatusCode::kDataLoss) << Traits(dtype).name;
      const int column = in - static_cast<int>(Traits(dtype).block_size);
      const std::string place = "blk.0.w: row 3, column " + std::to_string(column);
      EXPECT_NE(status.message().find(place), std::string::npos) << status.message();
    }
  }
}

// Every pattern of bits that a file may hold, small scales below zero included.
TEST_P(MatMulTest, RandomBlocksAgreeWithTheReferenceAndTheGenericPath) {
  const KernelTable& generic = **SelectKernels("generic");
  for (const DType dtype : kTypes) {
    if (Traits(dtype).block_size == 1) continue;
    constexpr int kOut = 37, kRows = 11;
    const int in = 3 * WholeBlocks(dtype, 32);
    const auto stored = RandomBlocks(dtype, in, kOut);
    const auto x = RandomFloats(static_cast<size_t>(in * kRows), 59);
    const auto y = Multiply(*kernels_, stored, x, kRows);
    ExpectCloseToReference(stored, x, kRows, y, std::string(Traits(dtype).name));
    if (HasFatalFailure()) return;
    const auto expected = Multiply(generic, stored, x, kRows);
    ASSERT_EQ(std::memcmp(expected.data(), y.data(), y.size() * sizeof(float)), 0) << Traits(dtype).name;
  }
}

TEST_P(MatMulTest, ExtremeCodesAndSmallScalesAreExact) {
  for (const DType dtype : {DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K,
                            DType::kIQ4_NL, DType::kIQ4_XS}) {
    const bool table = RuleOf(dtype).table != nullptr;
    const int top = dtype == DType::kQ6_K   ? 63
                    : dtype == DType::kQ5_K ? 31
                    : dtype == DType::kQ2_K ? 3
                    : dtype == DType::kQ3_K ? 7
                                            : 15;
    const int scale = dtype == DType::kQ6_K            ? 127
                      : dtype == DType::kQ2_K          ? 15
                      : dtype == DType::kQ3_K || table ? 31
                                                       : 63;
    const bool is_signed = !RuleOf(dtype).own_min;
    for (const int code : {0, top})
      for (const int small : {scale, is_signed ? -scale - 1 : 0}) {
        BlockCodes block;
        block.scale = FloatToHalf(1.0f);
        block.min = FloatToHalf(1.0f);
        std::fill_n(block.codes, kSuperBlockSize, static_cast<uint8_t>(code));
        std::fill_n(block.scales, 16, static_cast<int8_t>(small));
        std::fill_n(block.mins, 16, static_cast<int8_t>(RuleOf(dtype).own_min ? scale : 0));
        StoredMatrix stored{dtype, WholeBlocks(dtype, 1), 1, WriteBlock(dtype, block), {}};
        stored.values =
            DequantizeAll(dtype, std::as_bytes(std::span(stored.bytes)), static_cast<size_t>(stored.in));
        for (const float sign : {1.0f, -1.0f}) {
          const std::vector<float> x(static_cast<size_t>(stored.in) * 3, 127.0f * sign);
          double sum = 0;
          for (const float w : stored.values)
            sum += static_cast<double>(w) * 127.0 * static_cast<double>(sign);
          for (const float y : Multiply(*kernels_, stored, x, 3))
            ASSERT_NEAR(y, sum, std::fabs(sum) * 1e-6)
                << Traits(dtype).name << " code " << code << " scale " << small << " sign " << sign;
        }
      }
  }
}

TEST_P(MatMulTest, PackedTypesStayCloseToTheFilesSize) {
  for (const DType dtype : kTypes) {
    const auto matrix = LayOutMatrix(*kernels_, dtype, 256, 16, "w");
    ASSERT_TRUE(matrix.has_value());
    const double file = 16.0 * 256 / Traits(dtype).block_size * Traits(dtype).block_bytes;
    EXPECT_LE(static_cast<double>(matrix->bytes()), 1.04 * file) << Traits(dtype).name;
    EXPECT_GE(static_cast<double>(matrix->bytes()), file) << Traits(dtype).name;
  }
}

TEST_P(MatMulTest, RowsThatAreNoWholeNumberOfBlocksAreRefused) {
  const auto matrix = LayOutMatrix(*kernels_, DType::kQ6_K, 576, 4, "blk.1.ffn_up.weight");
  ASSERT_FALSE(matrix.has_value());
  EXPECT_EQ(matrix.error().code(), StatusCode::kDataLoss);
  EXPECT_NE(matrix.error().message().find("blk.1.ffn_up.weight: type Q6_K"), std::string::npos);
}

// Wherever the last two tiles begin, a range that is cut before them has the same tiles as the whole.
TEST_P(MatMulTest, RangesOfRowsGiveTheSameBitsAsAllRowsTogether) {
  for (const DType dtype : {DType::kQ4_1, DType::kQ6_K, DType::kF16}) {
    const int in = WholeBlocks(dtype, 96);
    const auto stored = RandomBlocks(dtype, in, 40);
    for (int rows = 25; rows <= 50; ++rows) {
      auto x = RandomFloats(static_cast<size_t>(in * rows), 17, 3.0f);
      for (size_t i = 0; i < x.size(); i += 101) x[i] = 20;
      for (const float threshold : {0.0f, 10.0f}) {
        const auto whole = MultiplyMixed(*kernels_, stored, x, rows, 0, true, 2, 0, threshold);
        if (threshold > 0 && dtype != DType::kF16) {
          ASSERT_NE(whole,
                    MultiplyMixed(*kernels_, stored, x, rows, 0, true));  // some block has lost a value
        }
        for (int cut = 16; rows - cut > kMaxTileRows; cut += 16)
          ASSERT_EQ(MultiplyMixed(*kernels_, stored, x, rows, 0, true, 2, cut, threshold), whole)
              << Traits(dtype).name << ", " << rows << " rows cut at " << cut;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Paths, MatMulTest, testing::Values("generic", "avx2", "avx512vnni", "amx"),
                         [](const auto& path) { return path.param; });

}  // namespace
}  // namespace weir
