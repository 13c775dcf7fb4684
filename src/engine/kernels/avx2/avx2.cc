// The AVX2 path: strips of 8 rows, vpmaddubsw into int16 and vpmaddwd into int32.
#include <immintrin.h>

#include "engine/kernels/isa_abi.h"

namespace weir {
namespace {

// The order matters: blank lines keep it.
#include "engine/kernels/isa_lanes_avx2.h"

#include "engine/kernels/isa_rows.h"

#include "engine/kernels/isa_attention_tiles.h"

#include "engine/kernels/isa_attention.h"

enum { kStripRows = 8, kVectorBytes = 32 };
// Bytes ahead of the stream that are asked for: one row alone lives on bandwidth, and 8-row strips are short.
enum { kPrefetchBytes = 2048 };

constexpr bool IsNibble(int format) { return format == kPackedNibbleMin || format == kPackedNibbleSymmetric; }
constexpr bool HasOwnMin(int format) { return format == kPackedNibbleMin || format == kPackedByteMin; }
constexpr int BlockBytes(int format) {
  return (IsNibble(format) ? 4 : 8) * kVectorBytes + (HasOwnMin(format) ? 32 : 16);
}

__m256i LoadVector(const unsigned char* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

__m256 LoadHalf8(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
__m256i LowNibbles(__m256i v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
__m256i HighNibbles(__m256i v) { return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15)); }

// The eight code vectors of a block times one row's codes, as eight int32 sums. How many products may meet in int16
// depends on the largest code: 8 for nibbles, 4 for codes up to 31, 1 for whole bytes.
template <int Format>
inline __attribute__((always_inline)) __m256i BlockSums(const __m256i (&codes)[8],
                                                        const int32_t* activation) {
  const __m256i ones = _mm256_set1_epi16(1);
  if constexpr (Format == kPackedByteSymmetric) {
    __m256i sums = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) {
      const __m256i a = _mm256_set1_epi32(activation[v]);
      const __m256i products = _mm256_maddubs_epi16(_mm256_abs_epi8(codes[v]), _mm256_sign_epi8(a, codes[v]));
      sums = _mm256_add_epi32(sums, _mm256_madd_epi16(products, ones));
    }
    return sums;
  } else {
    __m256i halves[2];
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      halves[h] = _mm256_maddubs_epi16(codes[4 * h], _mm256_set1_epi32(activation[4 * h]));
#pragma GCC unroll 3
      for (int v = 4 * h + 1; v < 4 * h + 4; ++v)
        halves[h] =
            _mm256_add_epi16(halves[h], _mm256_maddubs_epi16(codes[v], _mm256_set1_epi32(activation[v])));
    }
    if constexpr (IsNibble(Format)) return _mm256_madd_epi16(_mm256_add_epi16(halves[0], halves[1]), ones);
    return _mm256_add_epi32(_mm256_madd_epi16(halves[0], ones), _mm256_madd_epi16(halves[1], ones));
  }
}

inline void StoreRows(float* out, __m256 acc, int32_t valid, bool accumulate) {
  if (valid == kStripRows) {
    _mm256_storeu_ps(out, accumulate ? _mm256_add_ps(_mm256_loadu_ps(out), acc) : acc);
    return;
  }
  float lane[8];
  _mm256_storeu_ps(lane, acc);
  for (int32_t i = 0; i < valid; ++i) out[i] = accumulate ? out[i] + lane[i] : lane[i];
}

template <int Format, int T>
void MultiplyBlocks(const unsigned char* block, const unsigned char* tile, int32_t blocks, float* y,
                    int64_t y_stride, int32_t valid, bool accumulate) {
  __m256 acc[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) acc[t] = _mm256_setzero_ps();
  for (int32_t b = 0; b < blocks; ++b) {
    if constexpr (T == 1) {
      for (int i = 0; i < BlockBytes(Format); i += 64)
        _mm_prefetch(reinterpret_cast<const char*>(block + kPrefetchBytes + i), _MM_HINT_T0);
    }
    const int32_t* activation = reinterpret_cast<const int32_t*>(tile);
    const float* activation_scales = reinterpret_cast<const float*>(tile + 32 * T);
    const int32_t* starts = reinterpret_cast<const int32_t*>(tile + 40 * T);
    __m256i codes[8];
    if constexpr (IsNibble(Format)) {
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        const __m256i packed = LoadVector(block + v * kVectorBytes);
        codes[v] = LowNibbles(packed);
        codes[v + 4] = HighNibbles(packed);
      }
    } else {
#pragma GCC unroll 8
      for (int v = 0; v < 8; ++v) codes[v] = LoadVector(block + v * kVectorBytes);
    }
    const uint16_t* scales =
        reinterpret_cast<const uint16_t*>(block + (IsNibble(Format) ? 4 : 8) * kVectorBytes);
    const __m256 scale = LoadHalf8(scales);
    __m256 minimum = _mm256_setzero_ps();
    if constexpr (HasOwnMin(Format)) minimum = LoadHalf8(scales + 8);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      __m256i sums = BlockSums<Format>(codes, activation + 8 * t);
      if constexpr (Format == kPackedNibbleSymmetric)
        sums = _mm256_add_epi32(sums, _mm256_set1_epi32(starts[t] / 16));  // -8 * sum
      const __m256 factor = _mm256_mul_ps(scale, _mm256_set1_ps(activation_scales[t]));
      acc[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), factor, acc[t]);
      if constexpr (HasOwnMin(Format))
        acc[t] = _mm256_fmadd_ps(minimum, _mm256_set1_ps(activation_scales[T + t]), acc[t]);
    }
    block += BlockBytes(Format);
    tile += T * kActivationBlockBytes;
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) StoreRows(y + t * y_stride, acc[t], valid, accumulate);
}

template <int Format, int T>
void MultiplyFloats(const unsigned char* strip, const float* x, int64_t x_stride, int32_t in, float* y,
                    int64_t y_stride, int32_t valid, bool accumulate) {
  __m256 acc[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) acc[t] = _mm256_setzero_ps();
  for (int32_t k = 0; k < in; ++k) {
    __m256 w;
    if constexpr (Format == kPackedF32) {
      w = _mm256_loadu_ps(reinterpret_cast<const float*>(strip) + 8 * static_cast<int64_t>(k));
    } else if constexpr (Format == kPackedF16) {
      w = LoadHalf8(reinterpret_cast<const uint16_t*>(strip) + 8 * static_cast<int64_t>(k));
    } else {
      const __m128i half =
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(strip + 16 * static_cast<int64_t>(k)));
      w = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) acc[t] = _mm256_fmadd_ps(w, _mm256_set1_ps(x[t * x_stride + k]), acc[t]);
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) StoreRows(y + t * y_stride, acc[t], valid, accumulate);
}

#include "engine/kernels/isa_tiles.h"

int64_t ProbeInt8(int64_t rounds, int32_t* sink) {
  __m256i sums[6];
  for (auto& sum : sums) sum = _mm256_setzero_si256();
  const __m256i a = _mm256_set1_epi32(sink[0]);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i b = _mm256_set1_epi32(sink[1]);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) {
      // Without this the equal products would be computed once.
      asm volatile("" : "+x"(b));
      sums[j] = _mm256_add_epi32(sums[j], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
    }
  }
  __m256i sum = sums[0];
  for (int j = 1; j < 6; ++j) sum = _mm256_add_epi32(sum, sums[j]);
  *sink = _mm256_extract_epi32(sum, 0);
  return rounds * 6 * 32;
}

int64_t ProbeFp32(int64_t rounds, float* sink) {
  __m256 sums[12];
  for (auto& sum : sums) sum = _mm256_setzero_ps();
  const __m256 a = _mm256_set1_ps(sink[0]);
  const __m256 b = _mm256_set1_ps(sink[1]);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sums[j] = _mm256_fmadd_ps(a, b, sums[j]);
  }
  __m256 sum = sums[0];
  for (int j = 1; j < 12; ++j) sum = _mm256_add_ps(sum, sums[j]);
  *sink = _mm_cvtss_f32(_mm256_castps256_ps128(sum));
  return rounds * 12 * 8;
}

uint64_t ProbeRead(const unsigned char* data, int64_t bytes) {
  __m256i sums[8];
  for (auto& sum : sums) sum = _mm256_setzero_si256();
  for (int64_t i = 0; i + 256 <= bytes; i += 256) {
    _mm_prefetch(reinterpret_cast<const char*>(data + i + kPrefetchBytes), _MM_HINT_T0);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) sums[j] = _mm256_add_epi64(sums[j], LoadVector(data + i + 32 * j));
  }
  for (int j = 1; j < 8; ++j) sums[0] = _mm256_add_epi64(sums[0], sums[j]);
  return static_cast<uint64_t>(_mm256_extract_epi64(sums[0], 0) + _mm256_extract_epi64(sums[0], 1) +
                               _mm256_extract_epi64(sums[0], 2) + _mm256_extract_epi64(sums[0], 3));
}

}  // namespace

extern const KernelTable kAvx2Kernels;
const KernelTable kAvx2Kernels = {"avx2",       kStripRows,     0,         MatMul,    Quantize, RmsNorm,
                                  SiluMultiply, Rope,           Scale,     ExpArray,  ToHalf,   QuantizeHead,
                                  Attention,    MergeAttention, ProbeInt8, ProbeFp32, ProbeRead};

}  // namespace weir
