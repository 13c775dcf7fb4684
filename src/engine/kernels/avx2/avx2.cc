// The AVX2 path: strips of 8 rows, vpmaddubsw into int16 and vpmaddwd into int32.
#include <immintrin.h>

#include "engine/kernels/isa_abi.h"

namespace weir {
namespace {

// The order matters: blank lines keep it.
#include "engine/kernels/isa_maxima.h"

#include "engine/kernels/isa_lanes_avx2.h"

#include "engine/kernels/isa_exp.h"

#include "engine/kernels/isa_prefetch.h"

#include "engine/kernels/isa_rows.h"

#include "engine/kernels/isa_outliers.h"

#include "engine/kernels/isa_quantize.h"

#include "engine/kernels/isa_variant_rows.h"

#include "engine/kernels/isa_attention_tiles.h"

#include "engine/kernels/isa_attention.h"

#include "engine/kernels/isa_formats.h"

enum { kStripRows = 8, kVectorBytes = 32 };

__m256i LoadVector(const unsigned char* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

__m256 LoadHalf8(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// Up by N bits, or down where N is negative; what crosses bytes is masked by the caller.
template <int N>
inline __attribute__((always_inline)) __m256i Shift(__m256i v) {
  if constexpr (N > 0) return _mm256_slli_epi16(v, N);
  if constexpr (N < 0) return _mm256_srli_epi16(v, -N);
  return v;
}

// Code vectors V to 7 (V: columns 4V to 4V + 3 of the block); bytes and table values are signed.
template <int Format, int V>
inline __attribute__((always_inline)) void LoadCodes(const unsigned char* block, __m256i (&codes)[8]) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  codes[V] = LoadVector(block + kVectorBytes * LowVectorOf(kTraits, V));
  if constexpr (kTraits.low_bits < 8)
    codes[V] = _mm256_and_si256(Shift<-LowShiftOf(kTraits, V)>(codes[V]),
                                _mm256_set1_epi8((1 << kTraits.low_bits) - 1));
  if constexpr (kTraits.high_bits != 0) {
    constexpr int kMask = ((1 << kTraits.high_bits) - 1) << kTraits.low_bits;
    const __m256i high = Shift<kTraits.low_bits - HighShiftOf(kTraits, V)>(
        LoadVector(block + kVectorBytes * HighVectorOf(kTraits, V)));
    codes[V] = _mm256_or_si256(codes[V], _mm256_and_si256(high, _mm256_set1_epi8(kMask)));
  }
  if constexpr (kTraits.table) {
    const __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kTableValues));
    codes[V] = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(values), codes[V]);
  }
  if constexpr (V < 7) LoadCodes<Format, V + 1>(block, codes);
}

// What one block's small scales give. Two groups: their scales and mins as int16, to be multiplied in as the products are
// widened.
struct BlockScales {
  __m256 scale;
  __m256 minimum;    // added
  __m256i group[2];  // each scale in both halves of a row's lane
  __m256i offsets;   // -offset * scale, int16 pairs
  __m256i mins;      // int16 pairs
};

template <int Format>
inline __attribute__((always_inline)) BlockScales ScalesOf(__m256 scale, __m256 minimum,
                                                           const unsigned char* small) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  BlockScales out;
  out.scale = scale;
  out.minimum = minimum;
  if constexpr (kTraits.groups == 1) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(small));
    out.scale = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)));
    if constexpr (kTraits.own_min) {
      const __m128i mins = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(small + 8));
      out.minimum = _mm256_mul_ps(minimum, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(mins)));
    }
  } else if constexpr (kTraits.groups == 2) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(small));
    __m256i pairs = kTraits.own_min ? _mm256_cvtepu8_epi16(bytes) : _mm256_cvtepi8_epi16(bytes);
    if constexpr (kTraits.own_min) {
      out.mins = _mm256_srli_epi16(pairs, 4);
      pairs = _mm256_and_si256(pairs, _mm256_set1_epi16(15));
    } else {
      out.offsets = _mm256_mullo_epi16(pairs, _mm256_set1_epi16(-kTraits.offset));
    }
    const __m256i high = _mm256_slli_epi32(pairs, 16);
    const __m256i low = _mm256_srli_epi32(pairs, 16);
    out.group[0] = _mm256_blend_epi16(pairs, high, 0xaa);
    out.group[1] = _mm256_blend_epi16(low, pairs, 0xaa);
  }
  return out;
}

// How many products of code vectors may meet in int16 before they are widened: 8 of nibbles, 4 of codes up to 31, 2 of codes
// up to 63, 1 of whole bytes; and never those of two groups.
constexpr int ProductsPerSum(FormatTraits f) {
  return f.table || f.low_bits == 8 ? 1 : f.low_bits + f.high_bits == 4 ? 8 : f.high_bits == 2 ? 2 : 4;
}

// The eight code vectors of a block times one row's codes, as eight int32 sums.
template <int Format>
inline __attribute__((always_inline)) __m256i BlockSums(const __m256i (&codes)[8], const BlockScales& scales,
                                                        const int32_t* activation) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  constexpr int kRun = ProductsPerSum(kTraits);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums = _mm256_setzero_si256();
  if constexpr (kRun == 1) {
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) {
      const __m256i a = _mm256_set1_epi32(activation[v]);
      const __m256i products = _mm256_maddubs_epi16(_mm256_abs_epi8(codes[v]), _mm256_sign_epi8(a, codes[v]));
      sums = _mm256_add_epi32(sums, _mm256_madd_epi16(products, ones));
    }
    return sums;
  } else {
    constexpr int kChain = kRun == 8 ? 4 : kRun;
    __m256i parts[8 / kChain];
#pragma GCC unroll 4
    for (int p = 0; p < 8 / kChain; ++p) {
      parts[p] = _mm256_maddubs_epi16(codes[kChain * p], _mm256_set1_epi32(activation[kChain * p]));
#pragma GCC unroll 3
      for (int v = kChain * p + 1; v < kChain * p + kChain; ++v)
        parts[p] =
            _mm256_add_epi16(parts[p], _mm256_maddubs_epi16(codes[v], _mm256_set1_epi32(activation[v])));
    }
    if constexpr (kRun == 8) return _mm256_madd_epi16(_mm256_add_epi16(parts[0], parts[1]), ones);
#pragma GCC unroll 4
    for (int p = 0; p < 8 / kChain; ++p) {
      const __m256i wide =
          _mm256_madd_epi16(parts[p], kTraits.groups == 2 ? scales.group[kChain * p / 4] : ones);
      sums = p == 0 ? wide : _mm256_add_epi32(sums, wide);
    }
    return sums;
  }
}

// `valid` rows of the strip, or all of them where more are left.
inline void StoreRows(float* out, __m256 acc, int32_t valid, bool accumulate) {
  if (valid >= kStripRows) {
    _mm256_storeu_ps(out, accumulate ? _mm256_add_ps(_mm256_loadu_ps(out), acc) : acc);
    return;
  }
  float lane[8];
  _mm256_storeu_ps(lane, acc);
  for (int32_t i = 0; i < valid; ++i) out[i] = accumulate ? out[i] + lane[i] : lane[i];
}

// One block of 32 columns for T rows.
template <int Format, int T>
inline __attribute__((always_inline)) void MultiplyBlock(const unsigned char* block,
                                                         const BlockScales& scales, const unsigned char* tile,
                                                         bool ask_ahead, __m256 (&acc)[T]) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  if (ask_ahead) Prefetch<CodeBytes(kTraits) * kStripRows>(block);
  const int32_t* activation = reinterpret_cast<const int32_t*>(tile);
  const float* activation_scales = reinterpret_cast<const float*>(tile + 32 * T);
  const int32_t* starts = reinterpret_cast<const int32_t*>(tile + 40 * T);
  __m256i codes[8];
  LoadCodes<Format, 0>(block, codes);
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    __m256i sums = BlockSums<Format>(codes, scales, activation + 8 * t);
    if constexpr (kTraits.groups == 2 && kTraits.offset != 0)
      sums = _mm256_add_epi32(sums, _mm256_madd_epi16(scales.offsets, _mm256_set1_epi32(starts[3 * T + t])));
    else if constexpr (kTraits.offset == 8 || kTraits.offset == 16)
      sums = _mm256_add_epi32(sums, _mm256_set1_epi32(starts[t] >> (kTraits.offset == 8 ? 4 : 3)));
    const __m256 activation_scale = _mm256_set1_ps(activation_scales[t]);
    acc[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), _mm256_mul_ps(scales.scale, activation_scale), acc[t]);
    if constexpr (kTraits.own_min && kTraits.groups == 2) {
      const __m256i mins = _mm256_madd_epi16(scales.mins, _mm256_set1_epi32(starts[3 * T + t]));
      acc[t] =
          _mm256_fmadd_ps(_mm256_cvtepi32_ps(mins), _mm256_mul_ps(scales.minimum, activation_scale), acc[t]);
    } else if constexpr (kTraits.own_min) {
      acc[t] = _mm256_fmadd_ps(scales.minimum, _mm256_set1_ps(activation_scales[T + t]), acc[t]);
    }
  }
}

// A column of a block, as floats.
template <int Format>
inline __attribute__((always_inline)) __m256 ColumnOf(const unsigned char* codes, const BlockScales& scales,
                                                      int32_t column) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  const int v = column / 4;
  const int group = column / 16;
  // The code at `shift` in byte column % 4 of every lane of a vector.
  const auto take = [&](int vector, int shift, int bits) __attribute__((always_inline)) {
    return _mm256_and_si256(_mm256_srl_epi32(LoadVector(codes + kVectorBytes * vector),
                                             _mm_cvtsi32_si128(column % 4 * 8 + shift)),
                            _mm256_set1_epi32((1 << bits) - 1));
  };
  __m256i code = take(LowVectorOf(kTraits, v), LowShiftOf(kTraits, v), kTraits.low_bits);
  if constexpr (kTraits.high_bits != 0)
    code = _mm256_or_si256(
        code, _mm256_slli_epi32(take(HighVectorOf(kTraits, v), HighShiftOf(kTraits, v), kTraits.high_bits),
                                kTraits.low_bits));
  if constexpr (kTraits.table)
    code = _mm256_shuffle_epi8(
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kTableValues))), code);
  if constexpr (kTraits.table || kTraits.low_bits == 8)
    code = _mm256_srai_epi32(_mm256_slli_epi32(code, 24), 24);
  else
    code = _mm256_sub_epi32(code, _mm256_set1_epi32(kTraits.offset));
  if constexpr (kTraits.groups == 2)
    code = _mm256_mullo_epi32(code, _mm256_srai_epi32(scales.group[group], 16));
  const __m256 value = _mm256_cvtepi32_ps(code);
  if constexpr (!kTraits.own_min) return _mm256_mul_ps(value, scales.scale);
  __m256 minimum = scales.minimum;
  if constexpr (kTraits.groups == 2) {
    const __m256i min = group == 0 ? _mm256_and_si256(scales.mins, _mm256_set1_epi32(0xffff))
                                   : _mm256_srli_epi32(scales.mins, 16);
    minimum = _mm256_mul_ps(minimum, _mm256_cvtepi32_ps(min));
  }
  return _mm256_fmadd_ps(value, scales.scale, minimum);
}

// Whether any of a tile's rows had a value taken out of the block.
template <int T>
inline __attribute__((always_inline)) bool HasOutlier(const unsigned char* tile) {
  const float* values = reinterpret_cast<const float*>(tile + kOutliersAt * T);
  if constexpr (T == kMaxTileRows)
    return _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(values), _mm256_setzero_ps(), _CMP_NEQ_UQ)) != 0;
  bool any = false;
  for (int t = 0; t < T; ++t) any |= values[t] != 0.0f;
  return any;
}

// Rows tend to have theirs in the same column, whose weights are then taken once.
template <int Format, int T>
inline __attribute__((always_inline)) void AddOutliers(const unsigned char* codes, const BlockScales& scales,
                                                       const unsigned char* tile, __m256 (&acc)[T]) {
  const float* outliers = reinterpret_cast<const float*>(tile + kOutliersAt * T);
  const int32_t* columns = reinterpret_cast<const int32_t*>(outliers + T);
  int32_t column = -1;
  __m256 weights = _mm256_setzero_ps();
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    if (outliers[t] == 0.0f) continue;
    if (columns[t] != column) {
      column = columns[t];
      weights = ColumnOf<Format>(codes, scales, column);
    }
    acc[t] = _mm256_fmadd_ps(_mm256_set1_ps(outliers[t]), weights, acc[t]);
  }
}

template <int Format, int T>
void MultiplyBlocks(const unsigned char* super, const unsigned char* tile, int32_t blocks, bool ask_ahead,
                    float* y, int64_t y_stride, int32_t valid, bool accumulate) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  __m256 acc[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) acc[t] = _mm256_setzero_ps();
  for (int32_t b = 0; b < blocks; b += kTraits.super) {
    const unsigned char* floats = super + ScalesAt(kTraits) * kStripRows;
    const __m256 scale = LoadHalf8(reinterpret_cast<const uint16_t*>(floats));
    __m256 minimum = _mm256_setzero_ps();
    if constexpr (kTraits.own_min) {
      minimum = LoadHalf8(reinterpret_cast<const uint16_t*>(floats) + kStripRows);
      if constexpr (kTraits.groups != 0) minimum = _mm256_xor_ps(minimum, _mm256_set1_ps(-0.0f));
    }
    if (kTraits.super > 1 && ask_ahead) Prefetch<CodesAt(kTraits) * kStripRows>(super);
    const unsigned char* small = super + FloatScaleBytes(kTraits) * kStripRows;
    const unsigned char* codes = super + CodesAt(kTraits) * kStripRows;
#pragma GCC unroll 1
    for (int i = 0; i < kTraits.super; ++i) {
      const BlockScales scales = ScalesOf<Format>(scale, minimum, small);
      MultiplyBlock<Format, T>(codes, scales, tile, ask_ahead, acc);
      if (HasOutlier<T>(tile)) AddOutliers<Format, T>(codes, scales, tile, acc);
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
inline __attribute__((always_inline)) __m256 LoadWeights(const unsigned char* strip, int64_t k) {
  if constexpr (Format == kPackedF32) return _mm256_loadu_ps(reinterpret_cast<const float*>(strip) + 8 * k);
  if constexpr (Format == kPackedF16) return LoadHalf8(reinterpret_cast<const uint16_t*>(strip) + 8 * k);
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(strip + 16 * k));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

template <int Format, int T, int Strips>
void MultiplyFloats(const IsaMatMul& args, const unsigned char* strip, const float* x, float* y,
                    int32_t valid) {
  __m256 acc[Strips][T];
#pragma GCC unroll 4
  for (int s = 0; s < Strips; ++s)
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) acc[s][t] = _mm256_setzero_ps();
  constexpr int64_t kColumnBytes = kStripRows * (Format == kPackedF32 ? 4 : 2);
  constexpr int32_t kLineColumns = 64 / kColumnBytes;
  constexpr int64_t kFar = kFarBytes / Strips;
  const auto multiply = [&](int32_t k) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int s = 0; s < Strips; ++s) {
      const __m256 w = LoadWeights<Format>(strip + s * args.strip_bytes, k);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t)
        acc[s][t] = _mm256_fmadd_ps(w, _mm256_set1_ps(x[t * args.x_stride + k]), acc[s][t]);
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
    PrefetchLine(data + i, kFarBytes, kNearBytes);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) sums[j] = _mm256_add_epi64(sums[j], LoadVector(data + i + 32 * j));
  }
  for (int j = 1; j < 8; ++j) sums[0] = _mm256_add_epi64(sums[0], sums[j]);
  return static_cast<uint64_t>(_mm256_extract_epi64(sums[0], 0) + _mm256_extract_epi64(sums[0], 1) +
                               _mm256_extract_epi64(sums[0], 2) + _mm256_extract_epi64(sums[0], 3));
}

}  // namespace

extern const KernelTable kAvx2Kernels;
const KernelTable kAvx2Kernels = {
    "avx2",    kStripRows, 0,       MatMul,  Quantize,     RmsNorm,      SiluMultiply,   Rope,
    Scale,     ExpArray,   Maximum, ToHalf,  QuantizeHead, Attention,    MergeAttention, ProbeInt8,
    ProbeFp32, ProbeRead,  nullptr, nullptr, AddRow,       GeluMultiply, SoftCap,        RopeHalves};

}  // namespace weir
