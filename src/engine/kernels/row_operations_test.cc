#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/kernels/attention.h"
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
      std::vector<float> cosines(x.size());
      std::vector<float> sines(x.size());
      for (int i = 0; i < dims; ++i) {
        const double angle = position * std::pow(100000.0, -static_cast<double>(i / 2 * 2) / dims);
        cosines[static_cast<size_t>(i)] = static_cast<float>(std::cos(angle));
        sines[static_cast<size_t>(i)] = static_cast<float>(i % 2 == 0 ? -std::sin(angle) : std::sin(angle));
      }
      kernels_->rope(x.data(), cosines.data(), sines.data(), dims);
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_NEAR(x[i], expected[i], 1e-6) << dims << " at " << position;
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

// A paged cache whose blocks lie backwards, as after much use, with NaN wherever nothing was written.
class PagedCache {
 public:
  PagedCache(int num_keys, int head_dim) : head_dim_(head_dim) {
    const int num_blocks = (num_keys + 15) / 16;
    keys_.assign(static_cast<size_t>(num_blocks * 16 * head_dim), 0x7e00);
    values_ = keys_;
    for (int b = 0; b < num_blocks; ++b) table_.push_back(num_blocks - 1 - b);
    plain_keys_ = RandomFloats(static_cast<size_t>(num_keys * head_dim), 8);
    plain_values_ = RandomFloats(static_cast<size_t>(num_keys * head_dim), 9);
    for (int t = 0; t < num_keys; ++t)
      for (int d = 0; d < head_dim; ++d) {
        const size_t plain = static_cast<size_t>(t * head_dim + d);
        const size_t block = static_cast<size_t>(table_[static_cast<size_t>(t / 16)] * 16 * head_dim);
        const uint16_t k = FloatToHalf(plain_keys_[plain]);
        const uint16_t v = FloatToHalf(plain_values_[plain]);
        keys_[block + static_cast<size_t>(d * 16 + t % 16)] = k;
        values_[block + static_cast<size_t>(t % 16 * head_dim + d)] = v;
        plain_keys_[plain] = HalfToFloat(k);
        plain_values_[plain] = HalfToFloat(v);
      }
  }

  std::vector<float> Attend(const KernelTable& kernels, const std::vector<float>& q, int group, int first,
                            int rows) const {
    const size_t row_floats = static_cast<size_t>(group * head_dim_);
    std::vector<float> out(static_cast<size_t>(rows) * row_floats);
    std::vector<float> scratch(static_cast<size_t>(AttentionScratchFloats(head_dim_, group)));
    IsaAttention args{};
    args.q = q.data() + static_cast<size_t>(first) * row_floats;
    args.q_stride = static_cast<int64_t>(row_floats);
    args.out = out.data();
    args.out_stride = static_cast<int64_t>(row_floats);
    args.rows = rows;
    args.group = group;
    args.head_dim = head_dim_;
    args.first_position = first;
    args.keys = keys_.data();
    args.values = values_.data();
    args.block_stride = int64_t{16} * head_dim_;
    args.block_table = table_.data();
    args.scratch = scratch.data();
    kernels.attention(&args);
    return out;
  }

  std::span<const float> keys() const { return plain_keys_; }
  std::span<const float> values() const { return plain_values_; }

 private:
  int head_dim_;
  std::vector<uint16_t> keys_;
  std::vector<uint16_t> values_;
  std::vector<int32_t> table_;
  std::vector<float> plain_keys_;
  std::vector<float> plain_values_;
};

TEST_P(RowOperationsTest, AttentionAgreesWithTheReferenceAtEveryPosition) {
  for (const auto& [head_dim, group] : {std::pair{64, 3}, {16, 1}, {24, 4}, {80, 2}, {128, 8}}) {
    constexpr int kKeys = 150;
    const PagedCache cache(kKeys, head_dim);
    const auto q = RandomFloats(static_cast<size_t>(kKeys * group * head_dim), 10, 2.0f);
    for (int first = 0; first < kKeys; first += 16) {
      const int rows = std::min(16, kKeys - first);
      const auto out = cache.Attend(*kernels_, q, group, first, rows);
      for (int r = 0; r < rows; ++r)
        for (int g = 0; g < group; ++g) {
          const size_t dim = static_cast<size_t>(head_dim);
          const size_t at = static_cast<size_t>((first + r) * group + g) * dim;
          const auto expected = reference::Attention(std::span(q).subspan(at, dim), cache.keys(),
                                                     cache.values(), first + r + 1);
          const float* found = out.data() + static_cast<size_t>(r * group + g) * dim;
          for (size_t d = 0; d < dim; ++d)
            ASSERT_NEAR(found[d], expected[d], 1e-5)
                << head_dim << " group " << group << " position " << first + r;
        }
    }
  }
}

TEST_P(RowOperationsTest, AttentionOfARowHasTheSameBitsInEveryTile) {
  constexpr int kKeys = 300;
  constexpr int kDim = 64;
  constexpr int kGroup = 3;
  const PagedCache cache(kKeys, kDim);
  const auto q = RandomFloats(kKeys * kGroup * kDim, 12, 2.0f);
  const size_t row_floats = kGroup * kDim;
  std::vector<float> alone;
  for (int position = 0; position < kKeys; ++position) {
    const auto row = cache.Attend(*kernels_, q, kGroup, position, 1);
    alone.insert(alone.end(), row.begin(), row.end());
  }
  for (const int tile : {2, 3, 5, 16})
    for (int first = 0; first < kKeys; first += tile) {
      const auto out = cache.Attend(*kernels_, q, kGroup, first, std::min(tile, kKeys - first));
      ASSERT_EQ(
          std::memcmp(out.data(), alone.data() + static_cast<size_t>(first) * row_floats, out.size() * 4), 0)
          << "tile of " << tile << " at " << first;
    }
}

TEST_P(RowOperationsTest, EveryPathGivesTheSameAttentionBits) {
  const PagedCache cache(100, 64);
  const auto q = RandomFloats(100 * 3 * 64, 13, 2.0f);
  const auto expected = cache.Attend(**SelectKernels("generic"), q, 3, 84, 16);
  const auto found = cache.Attend(*kernels_, q, 3, 84, 16);
  EXPECT_EQ(std::memcmp(expected.data(), found.data(), found.size() * 4), 0);
}

INSTANTIATE_TEST_SUITE_P(Paths, RowOperationsTest, testing::Values("generic", "avx2", "avx512vnni"),
                         [](const auto& path) { return path.param; });

}  // namespace
}  // namespace weir
