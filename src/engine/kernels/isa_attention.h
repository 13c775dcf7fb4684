// Attention over paged keys and values, included inside the anonymous namespace of every ISA file after
// isa_rows.h.
//
// Shapes    scratch holds AttentionScratchFloats(): key tile [head_dim][64], value tile [64][padded head_dim],
//           then for each of up to rows * group queries scores [64], accumulators, sums [16] and a maximum
// Threads   pure functions
//
// Keys are taken in groups of 64 at fixed positions, so a row's bits depend neither on the other rows of the
// tile nor on where its prompt was cut. A key beyond a row's position is never touched: stale cache content
// cannot reach it.
#pragma once

// Four columns of 16 lanes each, k rows of them: floats in a tile of scratch, or halves in the cache itself.
struct FloatColumns {
  const float* first;
  int64_t stride;  // from one k to the next
  inline Lanes At(int32_t k, int n) const { return Load(first + k * stride + 16 * n); }
};
// Blocks lie anywhere in the cache, where the hardware does not see them coming: reading one asks for its twin, the
// block of the same size that is read next.
struct KeyBlocks {
  const uint16_t* blocks[4];  // 16 keys each
  const uint16_t* next[4];
  inline Lanes At(int32_t k, int n) const {
    __builtin_prefetch(next[n] + 16 * k);
    return LoadHalf(blocks[n] + 16 * k);
  }
};
struct ValueRows {
  const uint16_t* first;
  const uint16_t* next;
  int64_t stride;
  inline Lanes At(int32_t k, int n) const {
    __builtin_prefetch(next + k * stride + 16 * n);
    return LoadHalf(first + k * stride + 16 * n);
  }
};

// c[m][0..16*N) (+)= sum over k of a[m][k] * b[k][0..16*N): one chain per element, in order of k.
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
  for (; n < columns; ++n) MultiplyColumns<kAdd, 1>(rows, a, a_stride, b, n, depth, c + 16 * n, c_stride);
}

// One query's state between groups of keys.
struct QueryState {
  float* scores;
  float* acc;
  float* sum;  // 16 lanes
  float* maximum;
};

// One query row's step over a group of keys: scores become weights, and what was gathered before is rescaled.
static inline void SoftmaxGroup(const QueryState& query, int32_t valid, int32_t padded_dim) {
  const float minus_infinity = -__builtin_inff();
  for (int32_t i = valid; i < kAttentionKeys; ++i) query.scores[i] = minus_infinity;
  Lanes scores[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) scores[i] = Load(query.scores + 16 * i);
  const float group_maximum = MaxLanes(Max(Max(scores[0], scores[1]), Max(scores[2], scores[3])));
  const float before = *query.maximum;
  const float now = group_maximum > before ? group_maximum : before;
  *query.maximum = now;
  Lanes sum = Load(query.sum);
  if (now > before && before != minus_infinity) {
    const Lanes factor = Exp(Set(before - now));
    sum = Mul(sum, factor);
    for (int32_t d = 0; d < padded_dim; d += 16) Store(query.acc + d, Mul(Load(query.acc + d), factor));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const Lanes weight = Exp(Sub(scores[i], Set(now)));
    Store(query.scores + 16 * i, weight);
    sum = Add(sum, weight);
  }
  Store(query.sum, sum);
}

struct AttentionScratch {
  float* keys;
  float* values;
  float* scores;
  float* acc;
  float* sums;
  float* maxima;
  int32_t padded_dim;

  inline QueryState Query(int64_t i) const {
    return {scores + i * kAttentionKeys, acc + i * padded_dim, sums + i * 16, maxima + i};
  }
};

static inline AttentionScratch PrepareAttention(const IsaAttention& args) {
  AttentionScratch s;
  const int64_t queries = static_cast<int64_t>(args.rows) * args.group;
  s.padded_dim = (args.head_dim + 15) / 16 * 16;
  s.keys = args.scratch;
  s.values = s.keys + static_cast<int64_t>(args.head_dim) * kAttentionKeys;
  s.scores = s.values + static_cast<int64_t>(s.padded_dim) * kAttentionKeys;
  s.acc = s.scores + queries * kAttentionKeys;
  s.sums = s.acc + queries * s.padded_dim;
  s.maxima = s.sums + queries * 16;
  const Lanes zero = Set(0.0f);
  for (int64_t i = 0; i < queries * s.padded_dim; i += 16) Store(s.acc + i, zero);
  for (int64_t i = 0; i < queries * 16; i += 16) Store(s.sums + i, zero);
  for (int64_t i = 0; i < queries; ++i) s.maxima[i] = -__builtin_inff();
  return s;
}

static inline void FinishAttention(const IsaAttention& args, const AttentionScratch& s) {
  for (int32_t row = 0; row < args.rows; ++row)
    for (int32_t g = 0; g < args.group; ++g) {
      const QueryState query = s.Query(static_cast<int64_t>(row) * args.group + g);
      const Lanes inverse = Set(1.0f / SumLanes(Load(query.sum)));
      float* out = args.out + row * args.out_stride + static_cast<int64_t>(g) * args.head_dim;
      for (int32_t d = 0; d < args.head_dim; d += 16) {
        const Lanes v = Mul(Load(query.acc + d), inverse);
        if (d + 16 <= args.head_dim)
          Store(out + d, v);
        else
          StorePart(out + d, v, args.head_dim - d);
      }
    }
}

// Many rows read the keys and values of a group, so they are turned into floats once.
static void LoadKeyGroup(const IsaAttention& args, const AttentionScratch& s, int32_t first_key,
                         int32_t num_keys) {
  for (int32_t b = 0; b * 16 < num_keys; ++b) {
    const int64_t offset = args.block_table[first_key / 16 + b] * args.block_stride;
    const uint16_t* k = args.keys + offset;
    for (int32_t d = 0; d < args.head_dim; ++d)
      Store(s.keys + d * kAttentionKeys + 16 * b, LoadHalf(k + 16 * d));
    const int32_t tokens = num_keys - 16 * b < 16 ? num_keys - 16 * b : 16;
    for (int32_t t = 0; t < tokens; ++t) {
      const uint16_t* v = args.values + offset + static_cast<int64_t>(t) * args.head_dim;
      float* row = s.values + static_cast<int64_t>(16 * b + t) * s.padded_dim;
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

static void AttendRows(const IsaAttention& args, const AttentionScratch& s) {
  const int32_t last_position = args.first_position + args.rows - 1;
  for (int32_t first_key = 0; first_key <= last_position; first_key += kAttentionKeys) {
    const int32_t left = last_position + 1 - first_key;
    const int32_t num_keys = left < kAttentionKeys ? left : static_cast<int32_t>(kAttentionKeys);
    LoadKeyGroup(args, s, first_key, num_keys);
    const FloatColumns keys = {s.keys, kAttentionKeys};
    const FloatColumns values = {s.values, s.padded_dim};
    // Rows before first_key see nothing of this group.
    for (int32_t row = first_key > args.first_position ? first_key - args.first_position : 0; row < args.rows;
         ++row) {
      const int32_t seen = args.first_position + row + 1 - first_key;
      const int32_t valid = seen < kAttentionKeys ? seen : static_cast<int32_t>(kAttentionKeys);
      const int64_t first = static_cast<int64_t>(row) * args.group;
      const QueryState query = s.Query(first);
      Multiply<false>(args.group, (valid + 15) / 16, args.q + row * args.q_stride, args.head_dim, keys,
                      args.head_dim, query.scores, kAttentionKeys);
      for (int32_t g = 0; g < args.group; ++g) SoftmaxGroup(s.Query(first + g), valid, s.padded_dim);
      Multiply<true>(args.group, s.padded_dim / 16, query.scores, kAttentionKeys, values, valid, query.acc,
                     s.padded_dim);
    }
  }
}

// The key block to ask for while a value block is read: of the next group of keys, or of the next call.
static inline const uint16_t* NextKeys(const IsaAttention& args, int32_t key, int b, const uint16_t* none) {
  if (key <= args.first_position) return args.keys + args.block_table[key / 16] * args.block_stride;
  if (b < args.next_num_blocks) return args.next_keys + args.next_block_table[b] * args.block_stride;
  return none;
}

// A lone row reads the cache as it is: a float tile would cost more than it saves.
static void AttendOneRow(const IsaAttention& args, const AttentionScratch& s) {
  const QueryState query = s.Query(0);
  for (int32_t first_key = 0; first_key <= args.first_position; first_key += kAttentionKeys) {
    const int32_t left = args.first_position + 1 - first_key;
    const int32_t valid = left < kAttentionKeys ? left : static_cast<int32_t>(kAttentionKeys);
    const int num_blocks = (valid + 15) / 16;
    int64_t offsets[4] = {};
    KeyBlocks keys = {};
    for (int b = 0; b < num_blocks; ++b) {
      offsets[b] = args.block_table[first_key / 16 + b] * args.block_stride;
      keys.blocks[b] = args.keys + offsets[b];
      keys.next[b] = args.values + offsets[b];
    }
    Multiply<false>(args.group, num_blocks, args.q, args.head_dim, keys, args.head_dim, query.scores,
                    kAttentionKeys);
    for (int32_t g = 0; g < args.group; ++g) SoftmaxGroup(s.Query(g), valid, s.padded_dim);
    for (int b = 0; b < num_blocks; ++b) {
      const uint16_t* block = args.values + offsets[b];
      const ValueRows values = {block, NextKeys(args, first_key + kAttentionKeys + 16 * b, b, block),
                                args.head_dim};
      const int32_t depth = valid - 16 * b < 16 ? valid - 16 * b : 16;
      Multiply<true>(args.group, s.padded_dim / 16, query.scores + 16 * b, kAttentionKeys, values, depth,
                     query.acc, s.padded_dim);
    }
  }
}

static void Attention(const IsaAttention* pointer) {
  const IsaAttention& args = *pointer;
  const AttentionScratch scratch = PrepareAttention(args);
  if (args.rows == 1 && args.head_dim % 16 == 0)
    AttendOneRow(args, scratch);
  else
    AttendRows(args, scratch);
  FinishAttention(args, scratch);
}
