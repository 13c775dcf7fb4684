// Lanes of the AVX2 path: two 256-bit registers. Included inside an anonymous namespace.
#pragma once

struct Lanes {
  __m256 low;
  __m256 high;
};
enum { kTileQueries = 3, kWideQueries = 3, kTileColumns = 2 };

static inline Lanes Load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
static inline void Store(float* p, Lanes v) {
  _mm256_storeu_ps(p, v.low);
  _mm256_storeu_ps(p + 8, v.high);
}
static inline Lanes Set(float v) { return {_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
static inline Lanes Add(Lanes a, Lanes b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
static inline Lanes Sub(Lanes a, Lanes b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
static inline Lanes Mul(Lanes a, Lanes b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
static inline Lanes Div(Lanes a, Lanes b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
static inline Lanes Fma(Lanes a, Lanes b, Lanes c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
static inline Lanes Max(Lanes a, Lanes b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
static inline Lanes Min(Lanes a, Lanes b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
static inline Lanes Abs(Lanes a) {
  const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  return {_mm256_and_ps(a.low, mask), _mm256_and_ps(a.high, mask)};
}
static inline Lanes Round(Lanes a) {
  return {_mm256_round_ps(a.low, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          _mm256_round_ps(a.high, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
static inline __m256 PowerOf2(__m256 n) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
// a * 2^n for whole n within the range of normal floats.
static inline Lanes ScaleByPowerOf2(Lanes a, Lanes n) {
  return {_mm256_mul_ps(a.low, PowerOf2(n.low)), _mm256_mul_ps(a.high, PowerOf2(n.high))};
}
static inline Lanes ZeroWhereLess(Lanes x, Lanes bound, Lanes v) {
  return {_mm256_and_ps(_mm256_cmp_ps(x.low, bound.low, _CMP_NLT_UQ), v.low),
          _mm256_and_ps(_mm256_cmp_ps(x.high, bound.high, _CMP_NLT_UQ), v.high)};
}
static inline Lanes SwapPairs(Lanes a) {
  return {_mm256_permute_ps(a.low, 0xb1), _mm256_permute_ps(a.high, 0xb1)};
}
static inline Lanes LoadHalf(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
static inline void StoreHalf(uint16_t* p, Lanes v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm256_cvtps_ph(v.low, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8),
                   _mm256_cvtps_ph(v.high, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
// Of the first and the last 16 of 32 codes, modulo 2^32.
struct HalfSums {
  uint32_t first;
  uint32_t last;
};
// Rounds 32 values to int8 and returns their sums.
static inline HalfSums StoreCodes(signed char* codes, Lanes a, Lanes b) {
  const __m256i i0 = _mm256_cvtps_epi32(a.low);
  const __m256i i1 = _mm256_cvtps_epi32(a.high);
  const __m256i i2 = _mm256_cvtps_epi32(b.low);
  const __m256i i3 = _mm256_cvtps_epi32(b.high);
  const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(i0, i1), _mm256_packs_epi32(i2, i3));
  const __m256i ordered = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), ordered);
  const __m256i pairs = _mm256_hadd_epi32(_mm256_add_epi32(i0, i1), _mm256_add_epi32(i2, i3));
  const __m128i fours = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
  const __m128i sums = _mm_hadd_epi32(fours, fours);
  return {static_cast<uint32_t>(_mm_cvtsi128_si32(sums)), static_cast<uint32_t>(_mm_extract_epi32(sums, 1))};
}
// Halves are folded onto each other, 8 then 4 then 2 then 1: the same order on every path.
static inline float SumLanes(Lanes a) {
  const __m256 eight = _mm256_add_ps(a.low, a.high);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
static inline float MaxLanes(Lanes a) {
  const __m256 eight = _mm256_max_ps(a.low, a.high);
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}
// The first of 32 lanes that has this value; one does.
static inline int32_t IndexOf(Lanes a, Lanes b, float value) {
  const __m256 all = _mm256_set1_ps(value);
  const auto equal = [all](__m256 v, int shift) {
    return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(v, all, _CMP_EQ_OQ))) << shift;
  };
  return __builtin_ctz(equal(a.low, 0) | equal(a.high, 8) | equal(b.low, 16) | equal(b.high, 24));
}
// Zeroes one of 32 lanes.
static inline void ClearLane(Lanes& a, Lanes& b, int32_t at) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const auto clear = [&](__m256& v, int32_t first) {
    const __m256i is_it = _mm256_cmpeq_epi32(lanes, _mm256_set1_epi32(at - first));
    v = _mm256_andnot_ps(_mm256_castsi256_ps(is_it), v);
  };
  clear(a.low, 0);
  clear(a.high, 8);
  clear(b.low, 16);
  clear(b.high, 24);
}
static inline void MaximaOf(const Lanes (&v)[8], float (&out)[8]) {
  __m256 halves[8];
  for (int i = 0; i < 8; ++i) halves[i] = _mm256_max_ps(v[i].low, v[i].high);
  _mm256_storeu_ps(out, MaximaOfEight(halves));
}
// The codes of 32 values from each pointer, times their factor, one after another, and what they sum up to.
static inline void StoreCodesOf(const float* const (&x)[8], const float (&factors)[8], signed char* codes,
                                uint32_t (&first)[8], uint32_t (&last)[8]) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  __m256i sums[8];  // four of the first 16 columns, four of the last
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    const __m256 factor = _mm256_set1_ps(factors[i]);
    __m256i whole[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j)
      whole[j] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x[i] + 8 * j), factor));
    const __m256i bytes = _mm256_permutevar8x32_epi32(
        _mm256_packs_epi16(_mm256_packs_epi32(whole[0], whole[1]), _mm256_packs_epi32(whole[2], whole[3])),
        order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + 32 * i), bytes);
    sums[i] = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes), _mm256_set1_epi16(1));
  }
  const auto fold = [&sums](int i) {
    return _mm256_hadd_epi32(_mm256_hadd_epi32(sums[i], sums[i + 1]),
                             _mm256_hadd_epi32(sums[i + 2], sums[i + 3]));
  };
  const __m256i low = fold(0);
  const __m256i high = fold(4);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(first), _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(last), _mm256_permute2x128_si256(low, high, 0x31));
}

static inline Lanes LoadBytes(const unsigned char* p) {
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(codes, 8)))};
}
static inline __m128i RoundToShorts(__m256 low) {
  const __m256i i = _mm256_cvtps_epi32(low);
  return _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
}
static inline void StoreBytes(signed char* p, Lanes v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm_packs_epi16(RoundToShorts(v.low), RoundToShorts(v.high)));
}

// 16 codes of a query, as 16-bit numbers. Returns what their products with keys have to be corrected by.
static inline int32_t StoreQueryCodes(unsigned char* codes, int32_t padded_dim, int32_t d, Lanes v) {
  static_cast<void>(padded_dim);
  __m128i* to = reinterpret_cast<__m128i*>(codes + 2 * d);
  _mm_storeu_si128(to, RoundToShorts(v.low));
  _mm_storeu_si128(to + 1, RoundToShorts(v.high));
  return 0;
}
static inline __m256i BroadcastCodes(const unsigned char* p) {
  int64_t four;
  __builtin_memcpy(&four, p, 8);
  return _mm256_set1_epi64x(four);
}
// Neighbours added: 16 tokens from four registers of 4 tokens x 2.
static inline __m256 AddPairs(__m256i a, __m256i b) {
  return _mm256_cvtepi32_ps(_mm256_permute4x64_epi64(_mm256_hadd_epi32(a, b), 0xd8));
}
// Whole-number dot products of M queries, code_stride bytes apart, with the keys of N blocks.
template <int M, int N, typename B>
static inline void DotCodes(const unsigned char* codes, int64_t code_stride, const int32_t* starts,
                            int32_t padded_dim, const B& keys, int column, int32_t fours,
                            Lanes (&out)[M][N]) {
  static_cast<void>(starts);
  static_cast<void>(padded_dim);
#pragma GCC unroll 8
  for (int n = 0; n < N; ++n) {
    __m256i sums[M][4];
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) sums[m][j] = _mm256_setzero_si256();
    for (int32_t i = 0; i < fours; ++i) {
      const __m128i* key = reinterpret_cast<const __m128i*>(keys.Codes(i, column + n));
      __m256i query[M];
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) query[m] = BroadcastCodes(codes + m * code_stride + 8 * i);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const __m256i four_tokens = _mm256_cvtepi8_epi16(_mm_loadu_si128(key + j));
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m)
          sums[m][j] = _mm256_add_epi32(sums[m][j], _mm256_madd_epi16(four_tokens, query[m]));
      }
    }
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
      out[m][n] = {AddPairs(sums[m][0], sums[m][1]), AddPairs(sums[m][2], sums[m][3])};
  }
}
