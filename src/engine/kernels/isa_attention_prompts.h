// Attention of a prompt's rows by products of bf16, included inside the anonymous namespace of the ISA files that have them.
//
// Shapes    queries in tiles of 16 rows of 32 dims; keys of a chunk in tiles of [16 pairs of dims][16 keys][2]; values in tiles
//           of [16 pairs of keys][16 dims][2]; weights, what the softmax gives, in tiles of 16 queries of 32 keys: all bf16
// Requires  head_dim a multiple of 32; no partials. The file has defined before: MultiplyFour(a, next_a, b, next_b, step_b,
//           depth, out, out_stride), which sets out[0..32)[0..32) to two tiles of a times two of b over `depth` tiles each;
//           out_stride is in floats
// Threads   pure functions
//
// As everywhere, keys are taken in chunks of 256 at fixed positions whose states are merged in order, and a query's chains do
// not depend on the queries beside it. Keys that a query must not see get a weight of zero, and values that nobody wrote yet
// are taken as zero.
#pragma once

enum { kTileBytes = 16 * 64 };
// Queries whose scores are at hand together: two tiles.
static constexpr int32_t kQueriesTogether = 32, kKeyTiles = kAttentionChunk / 16;

struct PromptAttention {
  const IsaAttention* args;
  int32_t queries;         // of all rows
  int32_t num_keys;        // of the chunk at hand
  unsigned char* query;    // [queries / 16][head_dim / 32] tiles
  unsigned char* keys;     // [16][head_dim / 32] tiles
  unsigned char* values;   // [8][head_dim / 16] tiles
  unsigned char* weights;  // [2][8] tiles
  float* scores;           // [32][256]
  float* products;         // [32][head_dim]
  float* running;          // [queries][head_dim]: values so far, weighted
  float* sums;             // [queries]
  float* maxima;           // [queries]
  float* key_scales;       // [256], of int8 keys
  float* value_scales;     // [256]
};

// Two vectors one after the other, as bf16.
inline __attribute__((always_inline)) __m512i Bf16Of(Lanes first, Lanes second) {
  return (__m512i)_mm512_cvtne2ps_pbh(second, first);
}

// Lanes of two vectors in turn, as bf16.
inline __attribute__((always_inline)) __m512i Interleaved(Lanes first, Lanes second, __m512i interleave) {
  return _mm512_permutexvar_epi16(interleave, Bf16Of(first, second));
}

// Even words from the lower, odd ones from the upper half.
static inline __m512i InterleaveOrder() {
  alignas(64) uint16_t order[32];
  for (int i = 0; i < 32; ++i) order[i] = static_cast<uint16_t>(i / 2 + i % 2 * 16);
  return _mm512_load_si512(order);
}

static PromptAttention PreparePrompt(const IsaAttention& args) {
  PromptAttention p;
  p.args = &args;
  p.queries = args.rows * args.group;
  p.num_keys = 0;
  const int64_t padded = (p.queries + kQueriesTogether - 1) / kQueriesTogether * kQueriesTogether;
  const int64_t dim = args.head_dim;
  unsigned char* next = reinterpret_cast<unsigned char*>(args.scratch);
  const auto take = [&next](int64_t bytes) {
    unsigned char* taken = next;
    next += (bytes + 63) / 64 * 64;
    return taken;
  };
  p.query = take(padded * dim * 2);
  p.keys = take(kAttentionChunk * dim * 2);
  p.values = take(kAttentionChunk * dim * 2);
  p.weights = take(kQueriesTogether * kAttentionChunk * 2);
  p.scores = reinterpret_cast<float*>(take(kQueriesTogether * kAttentionChunk * 4));
  p.products = reinterpret_cast<float*>(take(kQueriesTogether * dim * 4));
  p.running = reinterpret_cast<float*>(take(padded * dim * 4));
  p.sums = reinterpret_cast<float*>(take(padded * 4));
  p.maxima = reinterpret_cast<float*>(take(padded * 4));
  p.key_scales = reinterpret_cast<float*>(take(kAttentionChunk * 4));
  p.value_scales = reinterpret_cast<float*>(take(kAttentionChunk * 4));

  for (int32_t i = 0; i < padded; ++i) {
    unsigned char* row = p.query + (i / 16 * (dim / 32) * 16 + i % 16) * 64;
    const float* q = args.q + i / args.group * args.q_stride + i % args.group * dim;
    for (int32_t d = 0; d < dim; d += 32, row += kTileBytes)
      _mm512_store_si512(row, i < p.queries ? Bf16Of(Load(q + d), Load(q + d + 16)) : _mm512_setzero_si512());
  }
  return p;
}

// Turns the chunk's keys and values into tiles.
template <int kFormat>
static void LoadChunk(const PromptAttention& p, int32_t chunk, __m512i interleave) {
  const IsaAttention& args = *p.args;
  const int32_t dim = args.head_dim;
  const int32_t* table = args.block_table + chunk * kKeyTiles;
  const int32_t num_blocks = (p.num_keys + 15) / 16;
  for (int32_t b = 0; b < num_blocks; ++b) {
    const unsigned char* block = args.blocks + table[b] * args.block_stride;
    unsigned char* key_tile = p.keys + b * (dim / 32) * kTileBytes;
    for (int32_t d = 0; d < dim; d += 2) {
      __m512i pair;
      if constexpr (kFormat == kKvF16) {
        const uint16_t* halves = reinterpret_cast<const uint16_t*>(block) + 16 * d;
        pair = Interleaved(LoadHalf(halves), LoadHalf(halves + 16), interleave);
      } else {
        const __m512i four = LoadVector(block + d / 4 * 64);
        const __m512i up = d % 4 == 0 ? four : _mm512_srli_epi32(four, 16);
        const __m512i first = _mm512_srai_epi32(_mm512_slli_epi32(up, 24), 24);
        const __m512i second = _mm512_srai_epi32(_mm512_slli_epi32(up, 16), 24);
        pair = Interleaved(_mm512_cvtepi32_ps(first), _mm512_cvtepi32_ps(second), interleave);
      }
      _mm512_store_si512(key_tile + d / 2 * 64, pair);
    }
    const unsigned char* values = block + args.values_offset;
    if constexpr (kFormat == kKvInt8) {
      const float* scales = reinterpret_cast<const float*>(block + 16 * dim);
      Store(p.key_scales + 16 * b, Load(scales));
      Store(p.value_scales + 16 * b, Load(scales + 16));
    }
    const int64_t stride = kFormat == kKvInt8 ? dim : 2 * dim;
    const auto load = [&](int32_t t, int32_t d) {
      if (16 * b + t >= p.num_keys) return Set(0.0f);
      const unsigned char* from = values + t * stride;
      if constexpr (kFormat == kKvF16) return LoadHalf(reinterpret_cast<const uint16_t*>(from) + d);
      return LoadBytes(from + d);
    };
    unsigned char* value_tile = p.values + b / 2 * (dim / 16) * kTileBytes + b % 2 * 512;
    for (int32_t t = 0; t < 16; t += 2)
      for (int32_t d = 0; d < dim; d += 16)
        _mm512_store_si512(value_tile + d / 16 * kTileBytes + t / 2 * 64,
                           Interleaved(load(t, d), load(t + 1, d), interleave));
  }
  if (num_blocks % 2 == 0) return;
  unsigned char* value_tile = p.values + num_blocks / 2 * (dim / 16) * kTileBytes + 512;
  for (int32_t d = 0; d < dim; d += 16)
    for (int i = 0; i < 8; ++i)
      _mm512_store_si512(value_tile + d / 16 * kTileBytes + i * 64, _mm512_setzero_si512());
}

static constexpr float kLog2E = 1.44269504088896341f;

// 2^x to 13 bits, of which bf16 keeps 8: 2^n 2^f with n the integer below x and f in [0, 1).
inline __attribute__((always_inline)) Lanes PowerOf2(Lanes x) {
  const Lanes f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  Lanes p = Fma(Set(7.8024129e-2f), f, Set(2.2606716e-1f));
  p = Fma(p, f, Set(6.9583384e-1f));
  p = Fma(p, f, Set(9.9992515e-1f));
  return _mm512_scalef_ps(p, x);  // takes the integer below x itself
}

// What a chunk gives each of the queries at hand: lanes, so that merging costs little.
struct alignas(64) ChunkStates {
  float maxima[kQueriesTogether];
  float sums[kQueriesTogether];
};

// What each of 8 registers sums up to, in the order of SumLanes().
static inline void SumsOf(const Lanes (&v)[8], float* out) {
  __m256 fours[4];  // of two registers, i and i + 1
  const auto eight = [&](int i) __attribute__((always_inline)) {
    return _mm256_add_ps(_mm512_castps512_ps256(v[i]), _mm512_extractf32x8_ps(v[i], 1));
  };
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m256 a = eight(2 * i);
    const __m256 b = eight(2 * i + 1);
    fours[i] = _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
  }
  __m256 twos[2];  // 0, 2, 1, 3 and so on
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i)
    twos[i] = _mm256_add_ps(_mm256_shuffle_ps(fours[2 * i], fours[2 * i + 1], 0x44),
                            _mm256_shuffle_ps(fours[2 * i], fours[2 * i + 1], 0xee));
  const __m256 ones =
      _mm256_add_ps(_mm256_shuffle_ps(twos[0], twos[1], 0x88), _mm256_shuffle_ps(twos[0], twos[1], 0xdd));
  _mm256_storeu_ps(out, _mm256_permutevar8x32_ps(ones, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
}

enum { kSoftmaxRows = 8 };

// Rows of scores become weights, of which those of the first `valid` keys are not zero and 16 * num_tiles are written. `full`: vectors
// that are valid in all rows.
template <int kFormat>
static inline void PromptSoftmax(const PromptAttention& p, const float* scores,
                                 const int32_t (&valid)[kSoftmaxRows], int32_t full, int32_t num_tiles,
                                 unsigned char* weights, float* maxima, float* sums) {
  const auto score = [&](const float* row, int32_t i) __attribute__((always_inline)) {
    const Lanes s = Load(row + 16 * i);
    if constexpr (kFormat == kKvInt8) return Mul(s, Load(p.key_scales + 16 * i));
    return s;
  };
  const auto mask_of = [&](int r, int32_t i) __attribute__((always_inline)) {
    const int32_t left = valid[r] - 16 * i;
    return static_cast<__mmask16>((1u << (left < 0 ? 0 : left > 16 ? 16 : left)) - 1);
  };
  Lanes lanes[kSoftmaxRows];
#pragma GCC unroll 8
  for (int r = 0; r < kSoftmaxRows; ++r) {
    const float* row = scores + r * kAttentionChunk;
    Lanes largest = Set(-__builtin_inff());
    for (int32_t i = 0; i < full; ++i) largest = Max(largest, score(row, i));
    for (int32_t i = full; i < num_tiles; ++i)
      largest = _mm512_mask_max_ps(largest, mask_of(r, i), largest, score(row, i));
    lanes[r] = largest;
  }
  float largest[kSoftmaxRows];
  MaximaOf(lanes, largest);
  __builtin_memcpy(maxima, largest, sizeof(largest));
#pragma GCC unroll 8
  for (int r = 0; r < kSoftmaxRows; ++r) {
    const float* row = scores + r * kAttentionChunk;
    unsigned char* out = weights + r * 64;
    const Lanes shift = Set(-kLog2E * largest[r]);
    // One chain of sums for even vectors, one for odd.
    Lanes chains[2] = {Set(0.0f), Set(0.0f)};
    int32_t i = 0;
    const auto weight = [&](int32_t at) __attribute__((always_inline)) {
      return PowerOf2(Fma(score(row, at), Set(kLog2E), shift));
    };
    const auto store = [&](Lanes first, Lanes second) __attribute__((always_inline)) {
      chains[0] = Add(chains[0], first);
      chains[1] = Add(chains[1], second);
      if constexpr (kFormat == kKvInt8) {
        // What nobody wrote yet may be anything.
        first = _mm512_maskz_mul_ps(mask_of(r, i), first, Load(p.value_scales + 16 * i));
        second = _mm512_maskz_mul_ps(mask_of(r, i + 1), second, Load(p.value_scales + 16 * (i + 1)));
      }
      _mm512_store_si512(out, Bf16Of(first, second));
    };
    for (; i + 2 <= full; i += 2, out += kTileBytes) store(weight(i), weight(i + 1));
    for (; i < num_tiles; i += 2, out += kTileBytes)
      store(_mm512_maskz_mov_ps(mask_of(r, i), weight(i)),
            _mm512_maskz_mov_ps(mask_of(r, i + 1), weight(i + 1)));
    lanes[r] = Add(chains[0], chains[1]);
  }
  SumsOf(lanes, sums);
}

// Merges the chunk into the states of the queries from `first` on.
static inline void MergeChunk(const PromptAttention& p, int32_t first, const ChunkStates& chunk) {
  alignas(64) float before_factors[kQueriesTogether];
  alignas(64) float chunk_factors[kQueriesTogether];
  for (int32_t i = 0; i < kQueriesTogether; i += 16) {
    const Lanes before = Load(p.maxima + first + i);
    const Lanes now = Max(Load(chunk.maxima + i), before);
    const Lanes before_factor = Exp(Sub(before, now));
    const Lanes chunk_factor = Exp(Sub(Load(chunk.maxima + i), now));
    Store(p.maxima + first + i, now);
    Store(p.sums + first + i,
          Fma(Load(chunk.sums + i), chunk_factor, Mul(Load(p.sums + first + i), before_factor)));
    Store(before_factors + i, before_factor);
    Store(chunk_factors + i, chunk_factor);
  }
  const int32_t dim = p.args->head_dim;
  float* running = p.running + static_cast<int64_t>(first) * dim;
  const float* product = p.products;
  for (int32_t i = 0; i < kQueriesTogether; ++i, running += dim, product += dim)
    for (int32_t d = 0; d < dim; d += 16)
      Store(running + d,
            Fma(Load(product + d), Set(chunk_factors[i]), Mul(Load(running + d), Set(before_factors[i]))));
}

template <int kFormat>
static void AttendChunk(PromptAttention& p, int32_t chunk, __m512i interleave) {
  const IsaAttention& args = *p.args;
  const int32_t dim = args.head_dim;
  const int32_t first_key = chunk * kAttentionChunk;
  const int32_t left = args.first_position + args.rows - first_key;
  p.num_keys = left < kAttentionChunk ? left : static_cast<int32_t>(kAttentionChunk);
  LoadChunk<kFormat>(p, chunk, interleave);
  const auto seen_by = [&](int32_t query) {
    const int32_t seen = args.first_position + query / args.group + 1 - first_key;
    return seen < p.num_keys ? seen : p.num_keys;
  };
  for (int32_t first = 0; first < p.queries; first += kQueriesTogether) {
    const int32_t end = first + kQueriesTogether < p.queries ? first + kQueriesTogether : p.queries;
    const int32_t seen = seen_by(end - 1);
    if (seen <= 0) continue;
    const int32_t num_tiles = (seen + 31) / 32 * 2;
    const int64_t steps = dim / 32;
    for (int32_t t = 0; t < num_tiles; t += 2)
      MultiplyFour(p.query + first / 16 * steps * kTileBytes, steps * kTileBytes,
                   p.keys + t * steps * kTileBytes, steps * kTileBytes, kTileBytes,
                   static_cast<int32_t>(steps), p.scores + 16 * t, kAttentionChunk);
    ChunkStates states;
    for (int32_t i = 0; i < kQueriesTogether; i += kSoftmaxRows) {
      int32_t valid[kSoftmaxRows];
      int32_t least = kAttentionChunk;
      for (int32_t r = 0; r < kSoftmaxRows; ++r) {
        const int32_t seen_by_row = first + i + r < end ? seen_by(first + i + r) : 0;
        valid[r] = seen_by_row > 0 ? seen_by_row : 0;
        least = valid[r] < least ? valid[r] : least;
      }
      PromptSoftmax<kFormat>(p, p.scores + i * kAttentionChunk, valid, least / 16, num_tiles,
                             p.weights + (i / 16 * (kKeyTiles / 2) * 16 + i % 16) * 64, states.maxima + i,
                             states.sums + i);
    }
    const int64_t value_step = static_cast<int64_t>(dim) / 16 * kTileBytes;
    float* products = chunk == 0 ? p.running + static_cast<int64_t>(first) * dim : p.products;
    for (int32_t d = 0; d < dim; d += 32)
      MultiplyFour(p.weights, kKeyTiles / 2 * kTileBytes, p.values + d / 16 * kTileBytes, kTileBytes,
                   value_step, num_tiles / 2, products + d, dim);
    if (chunk > 0) {
      MergeChunk(p, first, states);
      continue;
    }
    for (int32_t i = 0; i < kQueriesTogether; i += 16) {
      Store(p.maxima + first + i, Load(states.maxima + i));
      Store(p.sums + first + i, Load(states.sums + i));
    }
  }
}

template <int kFormat>
static void AttendPrompt(const IsaAttention& args) {
  const __m512i interleave = InterleaveOrder();
  PromptAttention p = PreparePrompt(args);
  const int32_t num_chunks = (args.first_position + args.rows + kAttentionChunk - 1) / kAttentionChunk;
  for (int32_t chunk = 0; chunk < num_chunks; ++chunk) AttendChunk<kFormat>(p, chunk, interleave);
  for (int32_t i = 0; i < p.queries; ++i) {
    const Lanes inverse = Set(1.0f / p.sums[i]);
    float* out =
        args.out + i / args.group * args.out_stride + static_cast<int64_t>(i % args.group) * args.head_dim;
    const float* running = p.running + static_cast<int64_t>(i) * args.head_dim;
    for (int32_t d = 0; d < args.head_dim; d += 16) Store(out + d, Mul(Load(running + d), inverse));
  }
}

static void AttendPrompt(const IsaAttention& args) {
  if (args.kv_format == kKvInt8)
    AttendPrompt<kKvInt8>(args);
  else
    AttendPrompt<kKvF16>(args);
}
