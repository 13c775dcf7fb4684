#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/reference/reference.h"
#include "engine/tensor/half.h"

namespace weir {
namespace {

std::vector<float> RandomFloats(size_t count, uint64_t seed, float scale = 1.0f) {
  Rng rng(seed);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(rng.NextDouble() * 2 - 1) * scale;
  return values;
}

class RowOperationsTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam())) GTEST_SKIP() << "this CPU lacks " << GetParam();
    kernels_ = *SelectKernels(GetParam());
  }
  // Three rows like `x`, of two values more and 5 apart, by factor 0.5; EXPECTs that nothing else changes.
  static std::vector<float> RopeOf(void (*rope)(const IsaRope*), const std::vector<float>& x,
                                   const std::vector<float>& table) {
    const auto dims = static_cast<int32_t>(x.size());
    const auto stride = x.size() + 7;
    std::vector<float> rows(3 * stride, 8.0f);
    for (size_t row = 0; row < 3; ++row)
      std::copy(x.begin(), x.end(), rows.begin() + static_cast<std::ptrdiff_t>(row * stride));
    const float* const tables[] = {table.data(), table.data(), table.data()};
    const IsaRope args{rows.data(), static_cast<int64_t>(stride), tables, 3, dims, dims + 2, 0.5f};
    rope(&args);
    for (size_t row = 0; row < 3; ++row)
      for (size_t i = 0; i < stride; ++i) {
        const float got = rows[row * stride + i];
        if (i < x.size())
          EXPECT_EQ(got, rows[i]) << "rows differ";
        else
          EXPECT_EQ(got, i < x.size() + 2 ? 4.0f : 8.0f) << row << " at " << i;
      }
    rows.resize(x.size());
    return rows;
  }
  const KernelTable* kernels_ = nullptr;
};

TEST_P(RowOperationsTest, RmsNormAgreesWithTheReference) {
  for (const size_t n : {size_t{1}, size_t{15}, size_t{16}, size_t{33}, size_t{576}}) {
    const auto x = RandomFloats(n, 1, 4.0f);
    const auto weight = RandomFloats(n, 2);
    std::vector<float> out(n);
    kernels_->rms_norm(x.data(), weight.data(), static_cast<int32_t>(n), 1e-5f, out.data());
    const auto expected = reference::RmsNorm(x, weight, 1e-5);
    for (size_t i = 0; i < n; ++i)
      ASSERT_NEAR(out[i], expected[i], 2e-6 * std::fabs(expected[i]) + 1e-12) << n;
  }
}

TEST_P(RowOperationsTest, ExpStaysWithinTwoUlp) {
  std::vector<float> x;
  for (float v = -87.0f; v < 88.0f; v += 0.0137f) x.push_back(v);
  std::vector<float> out(x.size());
  kernels_->exp(x.data(), static_cast<int32_t>(x.size()), out.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = std::exp(static_cast<double>(x[i]));
    ASSERT_NEAR(out[i], expected, 2.4e-7 * expected) << x[i];
  }
  const float far[] = {-88.0f, -1e30f, -std::numeric_limits<float>::infinity()};
  float zero[3];
  kernels_->exp(far, 3, zero);
  for (const float v : zero) EXPECT_EQ(v, 0.0f);
}

TEST_P(RowOperationsTest, SiluMultiplyAgreesWithTheReference) {
  const auto gate = RandomFloats(103, 3, 12.0f);
  const auto up = RandomFloats(103, 4, 3.0f);
  std::vector<float> out(103);
  kernels_->silu_multiply(gate.data(), up.data(), 103, out.data());
  for (size_t i = 0; i < out.size(); ++i) {
    const double expected = reference::SiluMultiply(gate[i], up[i]);
    ASSERT_NEAR(out[i], expected, 2e-6 * std::fabs(expected) + 1e-12);
  }
}

TEST_P(RowOperationsTest, RopeAgreesWithTheReference) {
  for (const int dims : {2, 10, 64})
    for (const int position : {0, 1, 1000, 131072}) {
      auto x = RandomFloats(static_cast<size_t>(dims), 5);
      const auto expected = reference::Rope(x, position, 100000.0);
      std::vector<float> table(2 * x.size());
      for (int i = 0; i < dims; ++i) {
        const double angle = position * std::pow(100000.0, -static_cast<double>(i / 2 * 2) / dims);
        table[static_cast<size_t>(i)] = static_cast<float>(std::cos(angle));
        table[static_cast<size_t>(dims + i)] =
            static_cast<float>(i % 2 == 0 ? -std::sin(angle) : std::sin(angle));
      }
      const auto rotated = RopeOf(kernels_->rope, x, table);
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_NEAR(rotated[i], expected[i] / 2, 1e-6) << dims << " at " << position;
    }
}

TEST_P(RowOperationsTest, GeluMultiplyAgreesWithTheReference) {
  auto gate = RandomFloats(103, 3, 8.0f);
  gate[0] = 60.0f, gate[1] = -60.0f, gate[2] = 0.0f;
  const auto up = RandomFloats(103, 4, 3.0f);
  std::vector<float> out(103);
  kernels_->gelu_multiply(gate.data(), up.data(), 103, out.data());
  for (size_t i = 0; i < out.size(); ++i) {
    const double expected = reference::GeluMultiply(gate[i], up[i]);
    // The exponent's own rounding grows with it: where it is large the value is nearly 0.
    ASSERT_NEAR(out[i], expected, 4e-6 * std::fabs(expected) + 1e-7) << gate[i];
  }
}

TEST_P(RowOperationsTest, SoftCapAgreesWithTanhAndKeepsWhatIsNotANumber) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float cap : {1.0f, 30.0f, 50.0f}) {
    auto x = RandomFloats(77, 9, 200.0f);
    x[0] = 0.0f, x[1] = 1e-3f, x[2] = 1e30f, x[3] = -1e30f;
    auto capped = x;
    kernels_->soft_cap(capped.data(), 77, cap);
    for (size_t i = 0; i < x.size(); ++i)
      ASSERT_NEAR(capped[i], cap * std::tanh(x[i] / cap), 3e-7 * cap) << x[i];
  }
  float unsound[] = {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity};
  kernels_->soft_cap(unsound, 3, 30.0f);
  for (const float v : unsound) EXPECT_TRUE(std::isnan(v));
}

TEST_P(RowOperationsTest, RowsAddExactly) {
  const auto x = RandomFloats(35, 11);
  auto sum = RandomFloats(35, 12);
  const auto before = sum;
  kernels_->add(x.data(), 35, sum.data());
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(sum[i], before[i] + x[i]);
}

TEST_P(RowOperationsTest, RopeHalvesAgreesWithTheReference) {
  for (const int dims : {2, 10, 24, 64, 128})
    for (const int position : {0, 1, 1000, 131072}) {
      auto x = RandomFloats(static_cast<size_t>(dims), 5);
      const auto expected = reference::RopeHalves(x, position, 100000.0);
      std::vector<float> table(2 * x.size());
      for (int i = 0; i < dims / 2; ++i) {
        const double angle = position * std::pow(100000.0, -2.0 * i / dims);
        table[static_cast<size_t>(i)] = static_cast<float>(std::cos(angle));
        table[static_cast<size_t>(dims + i)] = static_cast<float>(std::sin(angle));
      }
      const auto rotated = RopeOf(kernels_->rope_halves, x, table);
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_NEAR(rotated[i], expected[i] / 2, 1e-6) << dims << " at " << position;
    }
}

TEST_P(RowOperationsTest, HalvesEqualTheReferenceConversion) {
  std::vector<float> x = RandomFloats(61, 6, 1000.0f);
  x.insert(x.end(),
           {0.0f, -0.0f, 65519.0f, 65520.0f, -1e9f, 5.9e-8f, 2.9e-8f, 6.1e-5f, 1.0009765f, 1.0004883f});
  std::vector<uint16_t> out(x.size());
  kernels_->to_half(x.data(), static_cast<int32_t>(x.size()), out.data());
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(out[i], FloatToHalf(x[i])) << x[i];
}

TEST_P(RowOperationsTest, AHeadIsQuantizedAlikeOnEveryPath) {
  for (const int n : {1, 6, 16, 20, 64, 130}) {
    auto x = RandomFloats(static_cast<size_t>(n), 7, 3.0f);
    std::vector<signed char> codes(static_cast<size_t>(n + 15) / 16 * 16, 99);
    const float scale = kernels_->quantize_head(x.data(), n, codes.data());
    float largest = 0;
    for (const float v : x) largest = std::max(largest, std::fabs(v));
    ASSERT_EQ(scale, largest / 127.0f);
    for (size_t i = 0; i < codes.size(); ++i)
      ASSERT_EQ(codes[i], i < x.size() ? std::nearbyint(x[i] * (1.0f / scale)) : 0.0f) << n << " at " << i;
    std::fill(x.begin(), x.end(), 1e-31f);
    EXPECT_EQ(kernels_->quantize_head(x.data(), n, codes.data()), 0.0f);
    EXPECT_EQ(codes[0], 0);
  }
}

TEST_P(RowOperationsTest, MaximumIsExactAndNamesUnsoundRows) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const int32_t n : {1, 15, 16, 17, 64, 100}) {
    auto x = RandomFloats(static_cast<size_t>(n), 51);
    EXPECT_EQ(kernels_->maximum(x.data(), n), *std::max_element(x.begin(), x.end()));
    for (const int32_t at : {0, n / 2, n - 1}) {
      const size_t i = static_cast<size_t>(at);
      const float before = x[i];
      x[i] = 3.0f;
      EXPECT_EQ(kernels_->maximum(x.data(), n), 3.0f) << at << " of " << n;
      for (const float unsound : {kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
        x[i] = unsound;
        EXPECT_TRUE(std::isnan(kernels_->maximum(x.data(), n))) << at << " of " << n;
      }
      x[i] = before;
    }
    std::fill(x.begin(), x.end(), -kInfinity);
    EXPECT_EQ(kernels_->maximum(x.data(), n), -kInfinity);
  }
}

class PromptRowsTest : public RowOperationsTest {};

float FromBf16(const unsigned char* p) {
  uint16_t half;
  std::memcpy(&half, p, 2);
  const uint32_t bits = uint32_t{half} << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

TEST_P(PromptRowsTest, SiluMultiplyIsRightToBf16AndStaysInItsRows) {
  constexpr int kRows = 21, kStride = 40, kTileBytes = 3072;
  auto gate = RandomFloats(kRows * kStride, 21, 12.0f);
  const auto up = RandomFloats(kRows * kStride, 22, 3.0f);
  gate[0] = 200.0f, gate[1] = -200.0f, gate[2] = 0.0f, gate[3] = std::numeric_limits<float>::quiet_NaN();
  alignas(64) unsigned char tiles[2 * kTileBytes];
  std::memset(tiles, 0x5a, sizeof(tiles));
  kernels_->prompts->silu_multiply(gate.data(), up.data(), kStride, kRows, 0, tiles, kTileBytes / 1024 * 32,
                                   nullptr);
  EXPECT_TRUE(std::isnan(FromBf16(tiles + 6)));
  gate[3] = 1.0f;
  kernels_->prompts->silu_multiply(gate.data(), up.data(), kStride, kRows, 0, tiles, kTileBytes / 1024 * 32,
                                   nullptr);
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < 32; ++c) {
      const double x = gate[static_cast<size_t>(r * kStride + c)];
      const double expected =
          x / (1 + std::exp(-x)) * static_cast<double>(up[static_cast<size_t>(r * kStride + c)]);
      ASSERT_NEAR(FromBf16(tiles + r / 16 * kTileBytes + r % 16 * 64 + 2 * c), expected,
                  std::fabs(expected) / 240 + 1e-30)
          << x;
    }
  for (int i = 1024; i < kTileBytes; ++i) ASSERT_EQ(tiles[i], 0x5a);
  for (int i = kTileBytes + 5 * 64; i < 2 * kTileBytes; ++i) ASSERT_EQ(tiles[i], 0x5a);
}

INSTANTIATE_TEST_SUITE_P(Paths, PromptRowsTest, testing::Values("amx"),
                         [](const auto& path) { return path.param; });

INSTANTIATE_TEST_SUITE_P(Paths, RowOperationsTest, testing::Values("generic", "avx2", "avx512vnni", "amx"),
                         [](const auto& path) { return path.param; });

}  // namespace
}  // namespace weir
