// Lanes of the AVX-512 path: one 512-bit register. Included inside an anonymous namespace.
#pragma once

using Lanes = __m512;
enum { kTileQueries = 3, kWideQueries = 6, kTileColumns = 4 };

static inline __m512i LoadVector(const unsigned char* p) { return _mm512_loadu_si512(p); }
static inline Lanes Load(const float* p) { return _mm512_loadu_ps(p); }
static inline void Store(float* p, Lanes v) { _mm512_storeu_ps(p, v); }
static inline Lanes Set(float v) { return _mm512_set1_ps(v); }
static inline Lanes Add(Lanes a, Lanes b) { return _mm512_add_ps(a, b); }
static inline Lanes Sub(Lanes a, Lanes b) { return _mm512_sub_ps(a, b); }
static inline Lanes Mul(Lanes a, Lanes b) { return _mm512_mul_ps(a, b); }
static inline Lanes Div(Lanes a, Lanes b) { return _mm512_div_ps(a, b); }
static inline Lanes Fma(Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps(a, b, c); }
static inline Lanes Max(Lanes a, Lanes b) { return _mm512_max_ps(a, b); }
static inline Lanes Min(Lanes a, Lanes b) { return _mm512_min_ps(a, b); }
static inline Lanes Abs(Lanes a) {
  return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff)));
}
static inline Lanes Round(Lanes a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// a * 2^n for whole n within the range of normal floats.
static inline Lanes ScaleByPowerOf2(Lanes a, Lanes n) {
  const __m512i exponent =
      _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23);
  return _mm512_mul_ps(a, _mm512_castsi512_ps(exponent));
}
static inline Lanes ZeroWhereLess(Lanes x, Lanes bound, Lanes v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, bound, _CMP_NLT_UQ), v);
}
static inline Lanes SwapPairs(Lanes a) { return _mm512_permute_ps(a, 0xb1); }
static inline Lanes LoadHalf(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
static inline void StoreHalf(uint16_t* p, Lanes v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
// Of the first and the last 16 of 32 codes, modulo 2^32.
struct HalfSums {
  uint32_t first;
  uint32_t last;
};
// Rounds 32 values to int8 and returns their sums.
static inline HalfSums StoreCodes(signed char* codes, Lanes a, Lanes b) {
  const __m512i ia = _mm512_cvtps_epi32(a);
  const __m512i ib = _mm512_cvtps_epi32(b);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), _mm512_cvtsepi32_epi8(ia));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + 16), _mm512_cvtsepi32_epi8(ib));
  return {static_cast<uint32_t>(_mm512_reduce_add_epi32(ia)),
          static_cast<uint32_t>(_mm512_reduce_add_epi32(ib))};
}
// Halves are folded onto each other, 8 then 4 then 2 then 1: the same order on every path.
static inline float SumLanes(Lanes a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
static inline float MaxLanes(Lanes a) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}
// The first of 32 lanes that has this value; one does.
static inline int32_t IndexOf(Lanes a, Lanes b, float value) {
  const Lanes all = Set(value);
  return __builtin_ctz(static_cast<uint32_t>(_mm512_cmp_ps_mask(a, all, _CMP_EQ_OQ)) |
                       static_cast<uint32_t>(_mm512_cmp_ps_mask(b, all, _CMP_EQ_OQ)) << 16);
}
// Zeroes one of 32 lanes.
static inline void ClearLane(Lanes& a, Lanes& b, int32_t at) {
  const uint32_t others = ~(1u << at);
  a = _mm512_maskz_mov_ps(static_cast<__mmask16>(others), a);
  b = _mm512_maskz_mov_ps(static_cast<__mmask16>(others >> 16), b);
}
static inline void MaximaOf(const Lanes (&v)[8], float (&out)[8]) {
  __m256 halves[8];
  for (int i = 0; i < 8; ++i)
    halves[i] = _mm256_max_ps(_mm512_castps512_ps256(v[i]), _mm512_extractf32x8_ps(v[i], 1));
  _mm256_storeu_ps(out, MaximaOfEight(halves));
}
// The codes of 32 values of two rows, times their factors, with four columns of each half of each row in turn: packing works within
// quarters.
static inline __m512i CodesOfTwo(const float* const* x, const float* factors) {
  __m512i words[2];
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m512 factor = _mm512_set1_ps(factors[i]);
    words[i] = _mm512_packs_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(Load(x[i]), factor)),
                                  _mm512_cvtps_epi32(_mm512_mul_ps(Load(x[i] + 16), factor)));
  }
  return _mm512_packs_epi16(words[0], words[1]);
}
static inline __m512i InOrderOfColumns(__m512i codes) {
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
                                  codes);
}
// In every 64 bits of row i, what the first and the last 16 of its codes sum up to; `codes` as CodesOfTwo() gives them.
static inline __m512i SumsOfCodes(const __m512i (&codes)[4]) {
  __m512i sums[4];  // of two rows: in every quarter first, last, first, last
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
    sums[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), codes[i]);
  const auto fold = [](__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_shuffle_i64x2(a, b, 0x88), _mm512_shuffle_i64x2(a, b, 0xdd));
  };
  return fold(fold(sums[0], sums[1]), fold(sums[2], sums[3]));
}
// The codes of 32 values from each pointer, times their factor, one after another, and what they sum up to.
static inline void StoreCodesOf(const float* const (&x)[8], const float (&factors)[8], signed char* codes,
                                uint32_t (&first)[8], uint32_t (&last)[8]) {
  __m512i of_two[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    of_two[i] = CodesOfTwo(x + 2 * i, factors + 2 * i);
    _mm512_storeu_si512(codes + 64 * i, InOrderOfColumns(of_two[i]));
  }
  const __m512i all = SumsOfCodes(of_two);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(first), _mm512_cvtepi64_epi32(all));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(last), _mm512_cvtepi64_epi32(_mm512_srli_epi64(all, 32)));
}

static inline Lanes LoadBytes(const unsigned char* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
static inline void StoreBytes(signed char* p, Lanes v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v)));
}

// 16 codes of a query, each 256 * high + low: first all high bytes, then all low bytes. Returns what their products
// with keys that are 128 too large have to be corrected by.
static inline int32_t StoreQueryCodes(unsigned char* codes, int32_t padded_dim, int32_t d, Lanes v) {
  const __m512i code = _mm512_cvtps_epi32(v);
  const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(code, _mm512_set1_epi32(128)), 8);
  const __m512i low = _mm512_sub_epi32(code, _mm512_slli_epi32(high, 8));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + d), _mm512_cvtepi32_epi8(high));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + padded_dim + d), _mm512_cvtepi32_epi8(low));
  return _mm512_reduce_add_epi32(_mm512_slli_epi32(_mm512_sub_epi32(_mm512_setzero_si512(), code), 7));
}
static inline __m512i BroadcastCodes(const unsigned char* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}
// Whole-number dot products of M queries, code_stride bytes apart, with the keys of N blocks.
template <int M, int N, typename B>
static inline void DotCodes(const unsigned char* codes, int64_t code_stride, const int32_t* starts,
                            int32_t padded_dim, const B& keys, int column, int32_t fours,
                            Lanes (&out)[M][N]) {
  const __m512i bias = _mm512_set1_epi8(-128);
  __m512i high[M][N];
  __m512i low[M][N];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
      high[m][n] = _mm512_setzero_si512();
      low[m][n] = _mm512_set1_epi32(starts[m]);
    }
  for (int32_t i = 0; i < fours; ++i) {
    __m512i key[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n)
      key[n] = _mm512_xor_si512(_mm512_loadu_si512(keys.Codes(i, column + n)), bias);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const __m512i high_codes = BroadcastCodes(codes + m * code_stride + 4 * i);
      const __m512i low_codes = BroadcastCodes(codes + m * code_stride + padded_dim + 4 * i);
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        high[m][n] = _mm512_dpbusd_epi32(high[m][n], key[n], high_codes);
        low[m][n] = _mm512_dpbusd_epi32(low[m][n], key[n], low_codes);
      }
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n)
      out[m][n] = _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(high[m][n], 8), low[m][n]));
}
