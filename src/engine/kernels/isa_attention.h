// Attention over paged keys and values, included inside the anonymous namespace of every ISA file after isa_rows.h.
//
// Shapes    scratch holds AttentionScratchFloats(): key tile [head_dim][64], value tile [64][head_dim], then for each of
//           up to rows * group queries scores [64] and accumulators [head_dim], maximum, sum
// Threads   pure functions
//
// Keys are taken in groups of 64 at fixed positions, so a row's bits depend neither on the other rows of the tile nor on
// where its prompt was cut. A key beyond a row's position is never touched: stale cache content cannot reach it.
#pragma once

// c[m][0..16*N) += sum over k of a[m][k] * b[k][0..16*N), one chain per element in order of k.
template <int M, int N>
static inline void MultiplyTile(const float* a, int64_t a_stride, const float* b, int64_t b_stride,
                                int32_t depth, float* c, int64_t c_stride) {
  Lanes acc[M][N];
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) acc[m][n] = Load(c + m * c_stride + 16 * n);
  for (int32_t k = 0; k < depth; ++k) {
    Lanes column[N];
    for (int n = 0; n < N; ++n) column[n] = Load(b + k * b_stride + 16 * n);
    for (int m = 0; m < M; ++m) {
      const Lanes broadcast = Set(a[m * a_stride + k]);
      for (int n = 0; n < N; ++n) acc[m][n] = Fma(broadcast, column[n], acc[m][n]);
    }
  }
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) Store(c + m * c_stride + 16 * n, acc[m][n]);
}

template <int N>
static void MultiplyColumns(int32_t rows, const float* a, int64_t a_stride, const float* b, int64_t b_stride,
                            int32_t depth, float* c, int64_t c_stride) {
  int32_t m = 0;
  for (; m + kTileQueries <= rows; m += kTileQueries)
    MultiplyTile<kTileQueries, N>(a + m * a_stride, a_stride, b, b_stride, depth, c + m * c_stride, c_stride);
  for (; m + 3 <= rows; m += 3)
    MultiplyTile<3, N>(a + m * a_stride, a_stride, b, b_stride, depth, c + m * c_stride, c_stride);
  for (; m < rows; ++m)
    MultiplyTile<1, N>(a + m * a_stride, a_stride, b, b_stride, depth, c + m * c_stride, c_stride);
}

// `columns` is a multiple of 16.
static void Multiply(int32_t rows, int32_t columns, const float* a, int64_t a_stride, const float* b,
                     int64_t b_stride, int32_t depth, float* c, int64_t c_stride) {
  int32_t n = 0;
  for (; n + 16 * kTileColumns <= columns; n += 16 * kTileColumns)
    MultiplyColumns<kTileColumns>(rows, a, a_stride, b + n, b_stride, depth, c + n, c_stride);
  for (; n < columns; n += 16) MultiplyColumns<1>(rows, a, a_stride, b + n, b_stride, depth, c + n, c_stride);
}

// One query row's step over a group of keys: scores become weights, and what was gathered before is rescaled.
static inline void SoftmaxGroup(float* scores, int32_t valid, float* maximum, Lanes* sum, float* acc,
                                int32_t padded_dim) {
  const float minus_infinity = -__builtin_inff();
  for (int32_t i = valid; i < kAttentionKeys; ++i) scores[i] = minus_infinity;
  Lanes largest = Load(scores);
  for (int i = 16; i < kAttentionKeys; i += 16) largest = Max(largest, Load(scores + i));
  const float before = *maximum;
  const float group_maximum = MaxLanes(largest);
  const float now = group_maximum > before ? group_maximum : before;
  *maximum = now;
  if (now > before && before != minus_infinity) {
    float factor_lane[16];
    Store(factor_lane, Exp(Set(before - now)));
    const Lanes factor = Set(factor_lane[0]);
    *sum = Mul(*sum, factor);
    for (int32_t d = 0; d < padded_dim; d += 16) Store(acc + d, Mul(Load(acc + d), factor));
  }
  for (int i = 0; i < kAttentionKeys; i += 16) {
    const Lanes weight = Exp(Sub(Load(scores + i), Set(now)));
    Store(scores + i, weight);
    *sum = Add(*sum, weight);
  }
}

static void LoadKeyGroup(const IsaAttention& args, int32_t first_key, int32_t num_keys, int32_t padded_dim,
                         float* keys, float* values) {
  for (int32_t b = 0; b * 16 < num_keys; ++b) {
    const int64_t offset = args.block_table[first_key / 16 + b] * args.block_stride;
    const uint16_t* k = args.keys + offset;
    for (int32_t d = 0; d < args.head_dim; ++d)
      Store(keys + d * kAttentionKeys + 16 * b, LoadHalf(k + 16 * d));
    const int32_t tokens = num_keys - 16 * b < 16 ? num_keys - 16 * b : 16;
    for (int32_t t = 0; t < tokens; ++t) {
      const uint16_t* v = args.values + offset + static_cast<int64_t>(t) * args.head_dim;
      float* row = values + static_cast<int64_t>(16 * b + t) * padded_dim;
      int32_t d = 0;
      for (; d + 16 <= args.head_dim; d += 16) Store(row + d, LoadHalf(v + d));
      if (d < args.head_dim) {
        uint16_t part[16] = {};
        for (int32_t i = 0; d + i < args.head_dim; ++i) part[i] = v[d + i];
        Store(row + d, LoadHalf(part));
      }
    }
  }
}

static void Attention(const IsaAttention* pointer) {
  const IsaAttention& args = *pointer;
  const int32_t padded_dim = (args.head_dim + 15) / 16 * 16;
  const int32_t queries = args.rows * args.group;
  float* keys = args.scratch;
  float* values = keys + static_cast<int64_t>(args.head_dim) * kAttentionKeys;
  float* scores = values + static_cast<int64_t>(padded_dim) * kAttentionKeys;
  float* acc = scores + static_cast<int64_t>(queries) * kAttentionKeys;
  float* sums = acc + static_cast<int64_t>(queries) * padded_dim;
  float* maxima = sums + static_cast<int64_t>(queries) * 16;
  for (int64_t i = 0; i < static_cast<int64_t>(queries) * padded_dim; ++i) acc[i] = 0.0f;
  for (int64_t i = 0; i < static_cast<int64_t>(queries) * 16; ++i) sums[i] = 0.0f;
  for (int32_t i = 0; i < queries; ++i) maxima[i] = -__builtin_inff();
  for (int32_t i = 0; i < args.head_dim * kAttentionKeys; ++i) keys[i] = 0.0f;

  const int32_t last_position = args.first_position + args.rows - 1;
  for (int32_t first_key = 0; first_key <= last_position; first_key += kAttentionKeys) {
    const int32_t left = last_position + 1 - first_key;
    const int32_t num_keys = left < kAttentionKeys ? left : static_cast<int32_t>(kAttentionKeys);
    LoadKeyGroup(args, first_key, num_keys, padded_dim, keys, values);
    // Rows before first_key see nothing of this group.
    const int32_t skipped = first_key > args.first_position ? first_key - args.first_position : 0;
    for (int32_t i = 0; i < queries * kAttentionKeys; ++i) scores[i] = 0.0f;
    for (int32_t row = skipped; row < args.rows; ++row)
      Multiply(args.group, kAttentionKeys, args.q + row * args.q_stride, args.head_dim, keys, kAttentionKeys,
               args.head_dim, scores + static_cast<int64_t>(row) * args.group * kAttentionKeys,
               kAttentionKeys);
    for (int32_t row = skipped; row < args.rows; ++row) {
      const int32_t seen = args.first_position + row + 1 - first_key;
      const int32_t valid = seen < kAttentionKeys ? seen : static_cast<int32_t>(kAttentionKeys);
      for (int32_t g = 0; g < args.group; ++g) {
        const int64_t query = static_cast<int64_t>(row) * args.group + g;
        Lanes sum = Load(sums + 16 * query);
        SoftmaxGroup(scores + query * kAttentionKeys, valid, maxima + query, &sum, acc + query * padded_dim,
                     padded_dim);
        Store(sums + 16 * query, sum);
      }
      const int64_t first = static_cast<int64_t>(row) * args.group;
      Multiply(args.group, padded_dim, scores + first * kAttentionKeys, kAttentionKeys, values, padded_dim,
               valid, acc + first * padded_dim, padded_dim);
    }
  }

  for (int32_t row = 0; row < args.rows; ++row)
    for (int32_t g = 0; g < args.group; ++g) {
      const int64_t query = static_cast<int64_t>(row) * args.group + g;
      const Lanes inverse = Set(1.0f / SumLanes(Load(sums + 16 * query)));
      float* out = args.out + row * args.out_stride + static_cast<int64_t>(g) * args.head_dim;
      for (int32_t d = 0; d < args.head_dim; d += 16) {
        const Lanes v = Mul(Load(acc + query * padded_dim + d), inverse);
        if (d + 16 <= args.head_dim)
          Store(out + d, v);
        else
          StorePart(out + d, v, args.head_dim - d);
      }
    }
}
