#include "engine/kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "base/rng.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/reference/reference.h"
#include "engine/tensor/half.h"

namespace weir {
namespace {

std::vector<float> RandomFloats(size_t count, uint64_t seed, float scale) {
  Rng rng(seed);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(rng.NextDouble() * 2 - 1) * scale;
  return values;
}

// Row `first` to `first + rows` of all queries, in one call or split into parts of `chunks_per_part` chunks.
struct Tile {
  int first;
  int rows;
  int chunks_per_part = 0;
  bool is_prompt = false;
  int window = 0;
  float soft_cap = 0;
};

// A paged cache whose blocks lie backwards, as after much use, with NaN wherever nothing was written.
class PagedCache {
 public:
  PagedCache(KvFormat format, int num_keys, int head_dim, int group)
      : format_(format), head_dim_(head_dim), group_(group) {
    const size_t num_blocks = static_cast<size_t>(num_keys + 15) / 16;
    const int columns = (head_dim + 3) / 4 * 4;
    const int row_bytes = format == kKvInt8 ? columns : 2 * head_dim;
    values_offset_ = 16 * (row_bytes + (format == kKvInt8 ? 8 : 0));
    block_bytes_ = values_offset_ + 16 * row_bytes;
    // As halves and as scales this is NaN, as codes -1.
    bytes_.assign(num_blocks * static_cast<size_t>(block_bytes_), 0xff);
    for (size_t b = 0; b < num_blocks; ++b) table_.push_back(static_cast<int32_t>(num_blocks - 1 - b));
    keys_ = RandomFloats(static_cast<size_t>(num_keys * head_dim), 8, 1.0f);
    values_ = RandomFloats(static_cast<size_t>(num_keys * head_dim), 9, 1.0f);
    queries_ = RandomFloats(static_cast<size_t>(num_keys * group * head_dim), 10, 2.0f);
    for (int t = 0; t < num_keys; ++t) {
      unsigned char* block = bytes_.data() + int64_t{table_[static_cast<size_t>(t / 16)]} * block_bytes_;
      float* key = keys_.data() + t * head_dim;
      float* value = values_.data() + t * head_dim;
      if (format == kKvF16)
        WriteHalves(block, t % 16, key, value);
      else
        WriteCodes(block, t % 16, key, value);
    }
  }

  std::vector<float> Attend(const KernelTable& kernels, const Tile& tile) const {
    const size_t row_floats = static_cast<size_t>(group_ * head_dim_);
    std::vector<float> out(static_cast<size_t>(tile.rows) * row_floats);
    const int64_t scratch_floats = AttentionScratchFloats(head_dim_, group_);
    std::vector<float> scratch(static_cast<size_t>(scratch_floats) + 16,
                               std::numeric_limits<float>::quiet_NaN());
    void* aligned = scratch.data();
    size_t space = scratch.size() * sizeof(float);
    EXPECT_NE(std::align(64, static_cast<size_t>(scratch_floats) * sizeof(float), aligned, space), nullptr);
    IsaAttention args{};
    args.q = queries_.data() + static_cast<size_t>(tile.first) * row_floats;
    args.q_stride = static_cast<int64_t>(row_floats);
    args.out = out.data();
    args.out_stride = static_cast<int64_t>(row_floats);
    args.rows = tile.rows;
    args.group = group_;
    args.head_dim = head_dim_;
    args.first_position = tile.first;
    args.kv_format = format_;
    args.values_offset = values_offset_;
    args.blocks = bytes_.data();
    args.block_stride = block_bytes_;
    args.block_table = table_.data();
    args.scratch = static_cast<float*>(aligned);
    args.window = tile.window;
    args.soft_cap = tile.soft_cap;
    if (tile.is_prompt) {
      kernels.prompt_attention(&args);
      return out;
    }
    if (tile.chunks_per_part == 0) {
      kernels.attention(&args);
      return out;
    }
    const int chunks = (tile.first + tile.rows + kAttentionChunk - 1) / kAttentionChunk;
    std::vector<float> partials(static_cast<size_t>(chunks * tile.rows * group_) *
                                static_cast<size_t>(AttentionStateFloats(head_dim_)));
    args.partials = partials.data();
    // The last part first: their order must not matter.
    for (int first = (chunks - 1) / tile.chunks_per_part * tile.chunks_per_part; first >= 0;
         first -= tile.chunks_per_part) {
      args.first_chunk = first;
      args.last_chunk = std::min(chunks, first + tile.chunks_per_part);
      kernels.attention(&args);
    }
    kernels.merge_attention(&args);
    return out;
  }

  // How far a tile's result is from the reference over what is stored.
  double LargestError(const std::vector<float>& out, const Tile& tile) const {
    const size_t dim = static_cast<size_t>(head_dim_);
    double largest = 0;
    for (int i = 0; i < tile.rows * group_; ++i) {
      const size_t query = static_cast<size_t>(tile.first * group_ + i) * dim;
      const int seen = tile.first + i / group_ + 1;
      const int first = tile.window > 0 ? std::max(0, seen - tile.window) : 0;
      const auto expected = reference::Attention(std::span(queries_).subspan(query, dim),
                                                 std::span(keys_).subspan(static_cast<size_t>(first) * dim),
                                                 std::span(values_).subspan(static_cast<size_t>(first) * dim),
                                                 seen - first, static_cast<double>(tile.soft_cap));
      for (size_t d = 0; d < dim; ++d) {
        const double error = std::fabs(out[static_cast<size_t>(i) * dim + d] - expected[d]);
        if (!(error <= largest)) largest = error;
      }
    }
    return largest;
  }

 private:
  // Both write what is stored back into the plain copies.
  void WriteHalves(unsigned char* block, int token, float* key, float* value) const {
    for (int d = 0; d < head_dim_; ++d) {
      const uint16_t k = FloatToHalf(key[d]);
      const uint16_t v = FloatToHalf(value[d]);
      std::memcpy(block + 2 * (16 * d + token), &k, 2);
      std::memcpy(block + values_offset_ + 2 * (token * head_dim_ + d), &v, 2);
      key[d] = HalfToFloat(k);
      value[d] = HalfToFloat(v);
    }
  }
  void WriteCodes(unsigned char* block, int token, float* key, float* value) const {
    const int columns = (head_dim_ + 3) / 4 * 4;
    for (const bool is_key : {true, false}) {
      float* x = is_key ? key : value;
      float largest = 0;
      for (int d = 0; d < head_dim_; ++d) largest = std::max(largest, std::fabs(x[d]));
      const float scale = largest / 127.0f;
      std::memcpy(block + 16 * columns + 4 * (is_key ? token : 16 + token), &scale, 4);
      for (int d = 0; d < columns; ++d) {
        const float code = d < head_dim_ ? std::nearbyint(x[d] / scale) : 0.0f;
        const int at = is_key ? 64 * (d / 4) + 4 * token + d % 4 : values_offset_ + token * columns + d;
        block[at] = static_cast<unsigned char>(static_cast<signed char>(code));
        if (d < head_dim_) x[d] = code * scale;
      }
    }
  }

  KvFormat format_;
  int head_dim_;
  int group_;
  int values_offset_ = 0;
  int64_t block_bytes_ = 0;
  std::vector<unsigned char> bytes_;
  std::vector<int32_t> table_;
  std::vector<float> keys_;
  std::vector<float> values_;
  std::vector<float> queries_;
};

class AttentionTest : public testing::TestWithParam<std::tuple<std::string, KvFormat>> {
 protected:
  void SetUp() override {
    const std::string& path = std::get<0>(GetParam());
    if (!CpuSupports(path)) GTEST_SKIP() << "this CPU lacks " << path;
    kernels_ = *SelectKernels(path);
  }
  KvFormat format() const { return std::get<1>(GetParam()); }

  const KernelTable* kernels_ = nullptr;
};

// Keys and values are at most 1. The codes of int8 are the reference's own input, so what remains is rounding and, for
// int8, the 16 bits of a query.
TEST_P(AttentionTest, AgreesWithTheReferenceAtEveryPosition) {
  const double tolerance = format() == kKvInt8 ? 2e-4 : 1e-5;
  for (const auto& [head_dim, group] : {std::pair{64, 3}, {16, 1}, {24, 4}, {18, 2}, {80, 2}, {128, 8}}) {
    constexpr int kKeys = 150;
    const PagedCache cache(format(), kKeys, head_dim, group);
    for (int first = 0; first < kKeys; first += 16) {
      const Tile tile{first, std::min(16, kKeys - first)};
      ASSERT_LE(cache.LargestError(cache.Attend(*kernels_, tile), tile), tolerance)
          << head_dim << " group " << group << " tile at " << first;
    }
  }
}

TEST_P(AttentionTest, AgreesWithTheReferenceOverManyChunks) {
  const double tolerance = format() == kKvInt8 ? 2e-4 : 1e-5;
  const PagedCache cache(format(), 1100, 64, 3);
  for (const int first : {240, 250, 255, 256, 257, 500, 511, 767, 1023, 1024, 1084})
    for (const int rows : {1, 2, 16}) {
      const Tile tile{first, rows};
      ASSERT_LE(cache.LargestError(cache.Attend(*kernels_, tile), tile), tolerance)
          << rows << " rows at " << first;
    }
}

TEST_P(AttentionTest, ARowHasTheSameBitsInEveryTile) {
  constexpr int kKeys = 560;
  const PagedCache cache(format(), kKeys, 64, 3);
  const size_t row_floats = size_t{3} * 64;
  std::vector<float> alone;
  for (int position = 0; position < kKeys; ++position) {
    const auto row = cache.Attend(*kernels_, {position, 1});
    alone.insert(alone.end(), row.begin(), row.end());
  }
  for (const int rows : {2, 3, 5, 16})
    for (int first = 0; first < kKeys; first += rows) {
      const auto out = cache.Attend(*kernels_, {first, std::min(rows, kKeys - first)});
      ASSERT_EQ(
          std::memcmp(out.data(), alone.data() + static_cast<size_t>(first) * row_floats, out.size() * 4), 0)
          << "tile of " << rows << " at " << first;
    }
}

TEST_P(AttentionTest, SplittingTheKeysDoesNotChangeABit) {
  const PagedCache cache(format(), 1400, 32, 2);
  for (const int first : {0, 100, 250, 256, 700, 1020, 1384})
    for (const int rows : {1, 7, 16}) {
      const auto whole = cache.Attend(*kernels_, {first, rows});
      for (const int part : {1, 2, 3, 5}) {
        const auto split = cache.Attend(*kernels_, {first, rows, part});
        ASSERT_EQ(std::memcmp(whole.data(), split.data(), whole.size() * 4), 0)
            << rows << " rows at " << first << ", parts of " << part << " chunks";
      }
    }
}

TEST_P(AttentionTest, WindowsAndSoftCapsAgreeWithTheReference) {
  const double tolerance = format() == kKvInt8 ? 2e-4 : 1e-5;
  const PagedCache cache(format(), 1100, 64, 3);
  for (const int window : {0, 1, 5, 16, 100, 256, 300, 900, 5000})
    for (const float soft_cap : {0.0f, 3.0f}) {
      for (const int first : {0, 3, 250, 256, 271, 500, 767, 1023, 1084})
        for (const int rows : {1, 2, 16}) {
          const Tile tile{first, rows, 0, false, window, soft_cap};
          ASSERT_LE(cache.LargestError(cache.Attend(*kernels_, tile), tile), tolerance)
              << rows << " rows at " << first << ", window " << window << ", cap " << soft_cap;
        }
    }
}

TEST_P(AttentionTest, AWindowedRowHasTheSameBitsInEveryTileAndSplit) {
  constexpr int kKeys = 600;
  const PagedCache cache(format(), kKeys, 64, 3);
  const size_t row_floats = size_t{3} * 64;
  for (const int window : {1, 40, 300}) {
    std::vector<float> alone;
    for (int position = 0; position < kKeys; ++position) {
      const auto row = cache.Attend(*kernels_, {position, 1, 0, false, window, 5.0f});
      alone.insert(alone.end(), row.begin(), row.end());
    }
    for (const int rows : {1, 3, 16})
      for (const int chunks_per_part : {0, 1, 2})
        for (int first = 0; first < kKeys; first += rows) {
          const auto out = cache.Attend(
              *kernels_, {first, std::min(rows, kKeys - first), chunks_per_part, false, window, 5.0f});
          ASSERT_EQ(
              std::memcmp(out.data(), alone.data() + static_cast<size_t>(first) * row_floats, out.size() * 4),
              0)
              << "tile of " << rows << " at " << first << ", window " << window << ", parts of "
              << chunks_per_part;
        }
  }
}

TEST_P(AttentionTest, EveryPathGivesTheSameBits) {
  for (const int head_dim : {64, 20}) {
    const PagedCache cache(format(), 400, head_dim, 3);
    for (const Tile& tile : {Tile{84, 16}, Tile{384, 16}, Tile{390, 1}, Tile{384, 16, 0, false, 200, 4.0f},
                             Tile{390, 1, 0, false, 130, 4.0f}}) {
      const auto expected = cache.Attend(**SelectKernels("generic"), tile);
      const auto found = cache.Attend(*kernels_, tile);
      EXPECT_EQ(std::memcmp(expected.data(), found.data(), found.size() * 4), 0)
          << head_dim << ", " << tile.rows << " rows at " << tile.first;
    }
  }
}

class PromptAttentionTest : public AttentionTest {};

// In bf16 queries up to 2 and keys up to 1 are off by up to 2^-9 of themselves, which moves a score of 128 products by 0.01 as
// a root mean square and by four times that somewhere among thousands; a result, at most 1, moves by as much, and by 2^-8 for
// weights and values.
TEST_P(PromptAttentionTest, AgreesWithTheReference) {
  for (const auto& [head_dim, group] : {std::pair{64, 3}, {32, 1}, {96, 2}, {128, 8}}) {
    constexpr int kKeys = 600;
    const PagedCache cache(format(), kKeys, head_dim, group);
    for (const int rows : {1, 15, 64})
      for (const int first : {0, 1, 17, 191, 192, 250, 255, 256, 257, 500, 536}) {
        const Tile tile{first, rows, 0, true};
        ASSERT_LE(cache.LargestError(cache.Attend(*kernels_, tile), tile), 0.04)
            << head_dim << " group " << group << ", " << rows << " rows at " << first;
      }
  }
}

TEST_P(PromptAttentionTest, ARowHasTheSameBitsInEveryTile) {
  constexpr int kKeys = 540;  // the last block has room that nobody wrote
  const PagedCache cache(format(), kKeys, 64, 3);
  const size_t row_floats = size_t{3} * 64;
  std::vector<float> alone;
  for (int position = 0; position < kKeys; ++position) {
    const auto row = cache.Attend(*kernels_, {position, 1, 0, true});
    alone.insert(alone.end(), row.begin(), row.end());
  }
  for (const int rows : {2, 5, 16, 48, 64})
    for (int first = 0; first < kKeys; first += rows) {
      const auto out = cache.Attend(*kernels_, {first, std::min(rows, kKeys - first), 0, true});
      ASSERT_EQ(
          std::memcmp(out.data(), alone.data() + static_cast<size_t>(first) * row_floats, out.size() * 4), 0)
          << "tile of " << rows << " at " << first;
    }
}

INSTANTIATE_TEST_SUITE_P(Paths, PromptAttentionTest,
                         testing::Combine(testing::Values("avx512bf16", "amx"),
                                          testing::Values(kKvF16, kKvInt8)),
                         [](const auto& param) {
                           return std::get<0>(param.param) +
                                  (std::get<1>(param.param) == kKvInt8 ? "_int8" : "_fp16");
                         });

INSTANTIATE_TEST_SUITE_P(Paths, AttentionTest,
                         testing::Combine(testing::Values("generic", "avx2", "avx512vnni", "amx"),
                                          testing::Values(kKvF16, kKvInt8)),
                         [](const auto& param) {
                           return std::get<0>(param.param) +
                                  (std::get<1>(param.param) == kKvInt8 ? "_int8" : "_fp16");
                         });

}  // namespace
}  // namespace weir
