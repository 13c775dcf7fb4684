// The AVX-512 VNNI path: strips of 16 rows, unsigned weight codes times signed activation codes in vpdpbusd.
#include <immintrin.h>

#include "engine/kernels/isa_abi.h"

namespace weir {
namespace {

// The order matters: blank lines keep it.
#include "engine/kernels/isa_maxima.h"

#include "engine/kernels/isa_lanes_avx512.h"

#include "engine/kernels/isa_exp.h"

#include "engine/kernels/isa_prefetch.h"

#include "engine/kernels/isa_rows.h"

#include "engine/kernels/isa_outliers.h"

#include "engine/kernels/isa_quantize.h"

#include "engine/kernels/isa_variant_rows.h"

#include "engine/kernels/isa_attention_tiles.h"

#include "engine/kernels/isa_attention.h"

#include "engine/kernels/isa_formats.h"

#include "engine/kernels/isa_blocks_avx512.h"

// The order in which the code vectors of a block are used: those that share a byte one after another.
constexpr int NthVector(FormatTraits f, int i) {
  return f.low_bits == 4 && !f.adjacent ? i % 2 * 4 + i / 2 : i;
}

// Adds the products of code vectors I to End - 1. A few rows have two sums each, because one would wait for itself.
template <int Format, int T, int Split, int I, int End>
inline __attribute__((always_inline)) void Accumulate(__m512i (&sums)[Split][T], const unsigned char* codes,
                                                      const int32_t* activation, const BlockScales& scales) {
  constexpr int kV = NthVector(TraitsOf(Format), I);
  __m512i code = CodeVector<Format, kV>(codes);
  if constexpr (ScalesCodes(Format)) code = _mm512_mullo_epi16(code, scales.factor[kV / 4]);
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
    sums[I % Split][t] =
        _mm512_dpbusd_epi32(sums[I % Split][t], code, _mm512_set1_epi32(activation[8 * t + kV]));
  if constexpr (I + 1 < End) Accumulate<Format, T, Split, I + 1, End>(sums, codes, activation, scales);
}

// One block of 32 columns for T rows.
template <int Format, int T>
inline __attribute__((always_inline)) void MultiplyBlock(const unsigned char* codes,
                                                         const BlockScales& scales, const unsigned char* tile,
                                                         bool ask_ahead, __m512 (&acc)[T]) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  constexpr int kSplit = T <= 2 ? 2 : 1;
  constexpr bool kTwoSums = HasTwoSums(Format);
  if (ask_ahead) Prefetch<CodeBytes(kTraits) * kStripRows>(codes);
  const int32_t* activation = reinterpret_cast<const int32_t*>(tile);
  const int32_t* starts = reinterpret_cast<const int32_t*>(tile + 40 * T);
  __m512i sums[kSplit][T];
  __m512 values[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    if constexpr (kSplit == 2) sums[1][t] = _mm512_setzero_si512();
    if constexpr (kTwoSums)
      sums[0][t] = _mm512_set1_epi32(starts[T + t]);
    else
      sums[0][t] = StartOf<kTraits.offset>(starts[t]);
  }
  Accumulate<Format, T, kSplit, 0, kTwoSums ? 4 : 8>(sums, codes, activation, scales);
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    if constexpr (kSplit == 2) sums[0][t] = _mm512_add_epi32(sums[0][t], sums[1][t]);
    values[t] = _mm512_cvtepi32_ps(sums[0][t]);
  }
  if constexpr (kTwoSums) {
    // The two groups' sums times their small scales stay below 2^24: exact in float, in whatever order.
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      values[t] = _mm512_mul_ps(values[t], scales.group[0]);
      sums[0][t] = _mm512_set1_epi32(starts[2 * T + t]);
      if constexpr (kSplit == 2) sums[1][t] = _mm512_setzero_si512();
    }
    Accumulate<Format, T, kSplit, 4, 8>(sums, codes, activation, scales);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      if constexpr (kSplit == 2) sums[0][t] = _mm512_add_epi32(sums[0][t], sums[1][t]);
      values[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[0][t]), scales.group[1], values[t]);
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) AddValue<Format, T>(values[t], scales, tile, t, acc[t]);
}

// Which of a tile's rows had a value taken out of the block.
template <int T>
inline __attribute__((always_inline)) __mmask8 RowsWithOutlier(const unsigned char* tile) {
  const __m256 values = _mm256_maskz_loadu_ps(static_cast<__mmask8>((1u << T) - 1), tile + kOutliersAt * T);
  return _mm256_cmp_ps_mask(values, _mm256_setzero_ps(), _CMP_NEQ_UQ);
}

// Rows tend to have theirs in the same column, whose weights are then taken once.
template <int Format, int T>
inline __attribute__((always_inline)) void AddOutliers(const unsigned char* codes, const BlockScales& scales,
                                                       const unsigned char* tile, __mmask8 rows,
                                                       __m512 (&acc)[T]) {
  const float* outliers = reinterpret_cast<const float*>(tile + kOutliersAt * T);
  const int32_t* columns = reinterpret_cast<const int32_t*>(outliers + T);
  int32_t column = -1;
  __m512 weights = _mm512_setzero_ps();
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    if ((rows >> t & 1) == 0) continue;
    if (columns[t] != column) {
      column = columns[t];
      weights = ColumnOf<Format>(codes, scales, column);
    }
    acc[t] = _mm512_fmadd_ps(_mm512_set1_ps(outliers[t]), weights, acc[t]);
  }
}

template <int Format, int T>
void MultiplyBlocks(const unsigned char* super, const unsigned char* tile, int32_t blocks, bool ask_ahead,
                    float* y, int64_t y_stride, int32_t valid, bool accumulate) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  __m512 acc[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) acc[t] = _mm512_setzero_ps();
  for (int32_t b = 0; b < blocks; b += kTraits.super) {
    const FloatScales floats = FloatScalesOf<Format>(super);
    if (kTraits.super > 1 && ask_ahead) Prefetch<CodesAt(kTraits) * kStripRows>(super);
    const unsigned char* small = super + FloatScaleBytes(kTraits) * kStripRows;
    const unsigned char* codes = super + CodesAt(kTraits) * kStripRows;
#pragma GCC unroll 1
    for (int i = 0; i < kTraits.super; ++i) {
      const BlockScales scales = ScalesOf<Format>(floats, small);
      MultiplyBlock<Format, T>(codes, scales, tile, ask_ahead, acc);
      const __mmask8 rows = RowsWithOutlier<T>(tile);
      if (rows != 0) AddOutliers<Format, T>(codes, scales, tile, rows, acc);
      small += SmallScaleBytes(kTraits) * kStripRows;
      codes += CodeBytes(kTraits) * kStripRows;
      tile += T * kActivationBlockBytes;
    }
    super += SuperBytes(kTraits) * kStripRows;
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) StoreRows(y + t * y_stride, acc[t], valid, accumulate);
}

template <int Format>
inline __attribute__((always_inline)) __m512 LoadWeights(const unsigned char* strip, int64_t k) {
  if constexpr (Format == kPackedF32) return _mm512_loadu_ps(strip + 64 * k);
  if constexpr (Format == kPackedF16) return LoadHalf(reinterpret_cast<const uint16_t*>(strip) + 16 * k);
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(strip + 32 * k));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

template <int Format, int T, int Strips>
void MultiplyFloats(const IsaMatMul& args, const unsigned char* strip, const float* x, float* y,
                    int32_t valid) {
  __m512 acc[Strips][T];
#pragma GCC unroll 4
  for (int s = 0; s < Strips; ++s)
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) acc[s][t] = _mm512_setzero_ps();
  constexpr int64_t kColumnBytes = kStripRows * (Format == kPackedF32 ? 4 : 2);
  constexpr int32_t kLineColumns = 64 / kColumnBytes;
  constexpr int64_t kFar = kFarBytes / Strips;
  const auto multiply = [&](int32_t k) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int s = 0; s < Strips; ++s) {
      const __m512 w = LoadWeights<Format>(strip + s * args.strip_bytes, k);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t)
        acc[s][t] = _mm512_fmadd_ps(w, _mm512_set1_ps(x[t * args.x_stride + k]), acc[s][t]);
    }
  };
  int32_t k = 0;
  for (; k + kLineColumns <= args.in; k += kLineColumns) {
    if constexpr (T <= 2) {
      // Behind these strips come the next ones, not the neighbour that is being read beside them.
      const int64_t at = k * kColumnBytes;
      const int64_t far = at + kFar < args.strip_bytes ? kFar : kFar + (Strips - 1) * args.strip_bytes;
#pragma GCC unroll 4
      for (int s = 0; s < Strips; ++s)
        PrefetchLine(strip + s * args.strip_bytes + at, far, kNearBytes / Strips);
    }
#pragma GCC unroll 4
    for (int32_t i = 0; i < kLineColumns; ++i) multiply(k + i);
  }
  for (; k < args.in; ++k) multiply(k);
#pragma GCC unroll 4
  for (int s = 0; s < Strips; ++s)
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t)
      StoreRows(y + t * args.y_stride + s * kStripRows, acc[s][t], valid - s * kStripRows,
                args.accumulate != 0);
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
const KernelTable kAvx512VnniKernels = {
    "avx512vnni", kStripRows, 128,     MatMul,  Quantize,     RmsNorm,      SiluMultiply,   Rope,
    Scale,        ExpArray,   Maximum, ToHalf,  QuantizeHead, Attention,    MergeAttention, ProbeInt8,
    ProbeFp32,    ProbeRead,  nullptr, nullptr, AddRow,       GeluMultiply, SoftCap,        RopeHalves};

}  // namespace weir
