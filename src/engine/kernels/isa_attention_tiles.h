// The small products of attention, included inside the anonymous namespace of every ISA file before isa_attention.h.
//
// Shapes    a [rows][depth] times b [depth][16 * columns], where b is a tile of floats or the cache itself
// Threads   pure functions
//
// Every element of a product is one chain in order of depth, so its bits do not depend on the tile it is computed in.
#pragma once

// Four columns of 16 lanes each, k rows of them: floats in a tile of scratch, or what the cache holds.
struct FloatColumns {
  const float* first;
  int64_t stride;  // from one k to the next
  inline Lanes At(int32_t k, int n) const { return Load(first + k * stride + 16 * n); }
};
// Blocks lie anywhere in the cache, where the hardware does not see them coming: reading one asks for the same place of
// a block that is read a little later. Into the second-level cache: the first has too few places for what is on its way.
template <bool kAskAhead>
struct KeyBlocks {
  const unsigned char* const* blocks;  // 16 keys each
  const unsigned char* const* next;
  inline Lanes At(int32_t k, int n) const {
    if (kAskAhead && k % 2 == 0) __builtin_prefetch(next[n] + 32 * k, 0, kIntoL2);
    return LoadHalf(reinterpret_cast<const uint16_t*>(blocks[n] + 32 * k));
  }
  inline const unsigned char* Codes(int32_t k, int n) const {
    if (kAskAhead) __builtin_prefetch(next[n] + 64 * k, 0, kIntoL2);
    return blocks[n] + 64 * k;
  }
};
template <int kFormat>
struct ValueRows {
  const unsigned char* first;
  const unsigned char* next;
  int64_t stride;  // bytes
  inline Lanes At(int32_t k, int n) const {
    if constexpr (kFormat == kKvF16) {
      if (n % 2 == 0) __builtin_prefetch(next + k * stride + 32 * n, 0, kIntoL2);
      return LoadHalf(reinterpret_cast<const uint16_t*>(first + k * stride + 32 * n));
    } else {
      if (n % 4 == 0) __builtin_prefetch(next + k * stride + 16 * n, 0, kIntoL2);
      return LoadBytes(first + k * stride + 16 * n);
    }
  }
};

// c[m][0..16*N) (+)= sum over k of a[m][k] * b[k][0..16*N).
template <bool kAdd, int M, int N, typename B>
static inline void MultiplyTile(const float* a, int64_t a_stride, const B& b, int column, int32_t depth,
                                float* c, int64_t c_stride) {
  Lanes acc[M][N];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) acc[m][n] = kAdd ? Load(c + m * c_stride + 16 * n) : Set(0.0f);
  for (int32_t k = 0; k < depth; ++k) {
    Lanes columns[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) columns[n] = b.At(k, column + n);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const Lanes broadcast = Set(a[m * a_stride + k]);
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) acc[m][n] = Fma(broadcast, columns[n], acc[m][n]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) Store(c + m * c_stride + 16 * n, acc[m][n]);
}

template <bool kAdd, int N, typename B>
static inline void MultiplyColumns(int32_t rows, const float* a, int64_t a_stride, const B& b, int column,
                                   int32_t depth, float* c, int64_t c_stride) {
  int32_t m = 0;
  if constexpr (kWideQueries > kTileQueries)
    for (; m + kWideQueries <= rows; m += kWideQueries)
      MultiplyTile<kAdd, kWideQueries, N>(a + m * a_stride, a_stride, b, column, depth, c + m * c_stride,
                                          c_stride);
  for (; m + kTileQueries <= rows; m += kTileQueries)
    MultiplyTile<kAdd, kTileQueries, N>(a + m * a_stride, a_stride, b, column, depth, c + m * c_stride,
                                        c_stride);
  for (; m < rows; ++m)
    MultiplyTile<kAdd, 1, N>(a + m * a_stride, a_stride, b, column, depth, c + m * c_stride, c_stride);
}

// `columns` counts vectors of 16.
template <bool kAdd, typename B>
static void Multiply(int32_t rows, int columns, const float* a, int64_t a_stride, const B& b, int32_t depth,
                     float* c, int64_t c_stride) {
  int n = 0;
  for (; n + kTileColumns <= columns; n += kTileColumns)
    MultiplyColumns<kAdd, kTileColumns>(rows, a, a_stride, b, n, depth, c + 16 * n, c_stride);
  if constexpr (kTileColumns > 2)
    for (; n + 2 <= columns; n += 2)
      MultiplyColumns<kAdd, 2>(rows, a, a_stride, b, n, depth, c + 16 * n, c_stride);
  for (; n < columns; ++n) MultiplyColumns<kAdd, 1>(rows, a, a_stride, b, n, depth, c + 16 * n, c_stride);
}

// Queries as whole numbers of 16 bits: a product with an int8 key is then exact, and equal on every path.
struct QueryCodes {
  unsigned char* codes;  // [queries][2 * padded_dim], each path in its own order
  int32_t* starts;
  float* scales;
  int32_t padded_dim;
};

static inline void QuantizeQuery(const float* q, int32_t head_dim, const QueryCodes& into, int64_t index) {
  const float largest = LargestOf(q, head_dim);
  const bool zero = largest < 1e-30f;
  const float scale = zero ? 0.0f : largest / 32512.0f;  // 127 * 256: the high byte stays within int8
  const Lanes inverse = Set(zero ? 0.0f : 1.0f / scale);
  unsigned char* codes = into.codes + index * 2 * into.padded_dim;
  uint32_t start = 0;
  for (int32_t d = 0; d < head_dim; d += 16) {
    const Lanes v = d + 16 <= head_dim ? Load(q + d) : LoadPart(q + d, head_dim - d);
    start += static_cast<uint32_t>(StoreQueryCodes(codes, into.padded_dim, d, Mul(v, inverse)));
  }
  into.starts[index] = static_cast<int32_t>(start);
  into.scales[index] = scale;
}

template <int M, int N, typename B>
static inline void ScoreTile(const QueryCodes& q, int64_t query, const B& keys, int column, int32_t fours,
                             float* scores, int64_t stride) {
  Lanes dots[M][N];
  DotCodes<M, N>(q.codes + query * 2 * q.padded_dim, 2 * q.padded_dim, q.starts + query, q.padded_dim, keys,
                 column, fours, dots);
#pragma GCC unroll 8
  for (int n = 0; n < N; ++n) {
    const Lanes key_scales = Load(reinterpret_cast<const float*>(keys.blocks[column + n] + 64 * fours));
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
      Store(scores + m * stride + 16 * n, Mul(Mul(dots[m][n], Set(q.scales[query + m])), key_scales));
  }
}

template <int N, typename B>
static inline void ScoreColumns(int64_t first, int32_t queries, const QueryCodes& q, const B& keys,
                                int column, int32_t fours, float* scores, int64_t stride) {
  int32_t m = 0;
  for (; m + kTileQueries <= queries; m += kTileQueries)
    ScoreTile<kTileQueries, N>(q, first + m, keys, column, fours, scores + m * stride, stride);
  for (; m < queries; ++m) ScoreTile<1, N>(q, first + m, keys, column, fours, scores + m * stride, stride);
}

// scores[0..queries)[0..16 * columns) of the queries from `first` on.
template <typename B>
static void ScoreBlocks(int64_t first, int32_t queries, int columns, const QueryCodes& q, const B& keys,
                        int32_t fours, float* scores, int64_t stride) {
  int n = 0;
  for (; n + kTileColumns <= columns; n += kTileColumns)
    ScoreColumns<kTileColumns>(first, queries, q, keys, n, fours, scores + 16 * n, stride);
  for (; n < columns; ++n) ScoreColumns<1>(first, queries, q, keys, n, fours, scores + 16 * n, stride);
}
