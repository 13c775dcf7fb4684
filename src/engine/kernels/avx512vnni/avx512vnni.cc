// The AVX-512 VNNI path: strips of 16 rows, unsigned weight codes times signed activation codes in vpdpbusd.
#include <immintrin.h>

#include "engine/kernels/isa_abi.h"

namespace weir {
namespace {

// The order matters: blank lines keep it.
#include "engine/kernels/isa_lanes_avx512.h"

#include "engine/kernels/isa_rows.h"

#include "engine/kernels/isa_attention_tiles.h"

#include "engine/kernels/isa_attention.h"

enum { kStripRows = 16, kVectorBytes = 64 };

constexpr bool IsNibble(int format) { return format == kPackedNibbleMin || format == kPackedNibbleSymmetric; }
constexpr bool HasOwnMin(int format) { return format == kPackedNibbleMin || format == kPackedByteMin; }
constexpr int BlockBytes(int format) {
  return (IsNibble(format) ? 4 : 8) * kVectorBytes + (HasOwnMin(format) ? 64 : 32);
}

__m512i LoadVector(const unsigned char* p) { return _mm512_loadu_si512(p); }

__m512i LowNibbles(__m512i v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
__m512i HighNibbles(__m512i v) { return _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15)); }

// Code vector v (columns 4v to 4v+3 of the block) of a block. Symmetric codes start the integer sum
// below zero instead of being shifted: exact, and free.
template <int T>
inline __attribute__((always_inline)) void Accumulate(__m512i (&sums)[T], __m512i codes,
                                                      const int32_t* activation, int v) {
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
    sums[t] = _mm512_dpbusd_epi32(sums[t], codes, _mm512_set1_epi32(activation[8 * t + v]));
}

template <int Format, int T>
void MultiplyBlocks(const unsigned char* block, const unsigned char* tile, int32_t blocks, float* y,
                    int64_t y_stride, int32_t valid, bool accumulate) {
  __m512 acc[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) acc[t] = _mm512_setzero_ps();
  for (int32_t b = 0; b < blocks; ++b) {
    const int32_t* activation = reinterpret_cast<const int32_t*>(tile);
    const float* activation_scales = reinterpret_cast<const float*>(tile + 32 * T);
    const int32_t* starts = reinterpret_cast<const int32_t*>(tile + 40 * T);
    __m512i sums[T];
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      if constexpr (Format == kPackedByteSymmetric)
        sums[t] = _mm512_set1_epi32(starts[t]);  // -128 * sum
      else if constexpr (Format == kPackedNibbleSymmetric)
        sums[t] = _mm512_srai_epi32(_mm512_set1_epi32(starts[t]), 4);  // -8 * sum
      else
        sums[t] = _mm512_setzero_si512();
    }
    if constexpr (IsNibble(Format)) {
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        const __m512i codes = LoadVector(block + v * kVectorBytes);
        Accumulate<T>(sums, LowNibbles(codes), activation, v);
        Accumulate<T>(sums, HighNibbles(codes), activation, v + 4);
      }
    } else {
#pragma GCC unroll 8
      for (int v = 0; v < 8; ++v) Accumulate<T>(sums, LoadVector(block + v * kVectorBytes), activation, v);
    }
    const uint16_t* scales =
        reinterpret_cast<const uint16_t*>(block + (IsNibble(Format) ? 4 : 8) * kVectorBytes);
    const __m512 scale = LoadHalf(scales);
    __m512 minimum = _mm512_setzero_ps();
    if constexpr (HasOwnMin(Format)) minimum = LoadHalf(scales + 16);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const __m512 factor = _mm512_mul_ps(scale, _mm512_set1_ps(activation_scales[t]));
      acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[t]), factor, acc[t]);
      if constexpr (HasOwnMin(Format))
        acc[t] = _mm512_fmadd_ps(minimum, _mm512_set1_ps(activation_scales[T + t]), acc[t]);
    }
    block += BlockBytes(Format);
    tile += T * kActivationBlockBytes;
  }
  const __mmask16 mask = static_cast<__mmask16>((1u << valid) - 1);
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    float* out = y + t * y_stride;
    if (accumulate) acc[t] = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, out), acc[t]);
    _mm512_mask_storeu_ps(out, mask, acc[t]);
  }
}

template <int Format, int T>
void MultiplyFloats(const unsigned char* strip, const float* x, int64_t x_stride, int32_t in, float* y,
                    int64_t y_stride, int32_t valid, bool accumulate) {
  __m512 acc[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) acc[t] = _mm512_setzero_ps();
  for (int32_t k = 0; k < in; ++k) {
    __m512 w;
    if constexpr (Format == kPackedF32) {
      w = _mm512_loadu_ps(strip + 64 * static_cast<int64_t>(k));
    } else if constexpr (Format == kPackedF16) {
      w = LoadHalf(reinterpret_cast<const uint16_t*>(strip) + 16 * static_cast<int64_t>(k));
    } else {
      const __m256i half =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(strip + 32 * static_cast<int64_t>(k)));
      w = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) acc[t] = _mm512_fmadd_ps(w, _mm512_set1_ps(x[t * x_stride + k]), acc[t]);
  }
  const __mmask16 mask = static_cast<__mmask16>((1u << valid) - 1);
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    float* out = y + t * y_stride;
    if (accumulate) acc[t] = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, out), acc[t]);
    _mm512_mask_storeu_ps(out, mask, acc[t]);
  }
}

#include "engine/kernels/isa_tiles.h"

int64_t ProbeInt8(int64_t rounds, int32_t* sink) {
  __m512i sums[12];
  for (auto& sum : sums) sum = _mm512_setzero_si512();
  const __m512i a = _mm512_set1_epi32(sink[0]);
  const __m512i b = _mm512_set1_epi32(sink[1]);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sums[j] = _mm512_dpbusd_epi32(sums[j], a, b);
  }
  __m512i sum = sums[0];
  for (int j = 1; j < 12; ++j) sum = _mm512_add_epi32(sum, sums[j]);
  *sink = _mm512_reduce_add_epi32(sum);
  return rounds * 12 * 64;
}

int64_t ProbeFp32(int64_t rounds, float* sink) {
  __m512 sums[12];
  for (auto& sum : sums) sum = _mm512_setzero_ps();
  const __m512 a = _mm512_set1_ps(sink[0]);
  const __m512 b = _mm512_set1_ps(sink[1]);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sums[j] = _mm512_fmadd_ps(a, b, sums[j]);
  }
  __m512 sum = sums[0];
  for (int j = 1; j < 12; ++j) sum = _mm512_add_ps(sum, sums[j]);
  *sink = _mm512_reduce_add_ps(sum);
  return rounds * 12 * 16;
}

uint64_t ProbeRead(const unsigned char* data, int64_t bytes) {
  __m512i sums[4];
  for (auto& sum : sums) sum = _mm512_setzero_si512();
  for (int64_t i = 0; i + 256 <= bytes; i += 256) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) sums[j] = _mm512_add_epi64(sums[j], LoadVector(data + i + 64 * j));
  }
  const __m512i sum =
      _mm512_add_epi64(_mm512_add_epi64(sums[0], sums[1]), _mm512_add_epi64(sums[2], sums[3]));
  return static_cast<uint64_t>(_mm512_reduce_add_epi64(sum));
}

}  // namespace

extern const KernelTable kAvx512VnniKernels;
const KernelTable kAvx512VnniKernels = {"avx512vnni", kStripRows,   128,       MatMul,         Quantize,
                                        RmsNorm,      SiluMultiply, Rope,      Scale,          ExpArray,
                                        ToHalf,       QuantizeHead, Attention, MergeAttention, ProbeInt8,
                                        ProbeFp32,    ProbeRead};

}  // namespace weir
