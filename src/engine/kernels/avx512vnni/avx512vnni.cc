// The AVX-512 VNNI path: strips of 16 rows, unsigned weight codes times signed activation codes in vpdpbusd.
#include <immintrin.h>

#include "engine/kernels/isa_abi.h"

namespace weir {
namespace {

// The order matters: blank lines keep it.
#include "engine/kernels/isa_lanes_avx512.h"

#include "engine/kernels/isa_rows.h"

#include "engine/kernels/isa_attention.h"

#include "engine/kernels/isa_formats.h"

enum { kStripRows = 16, kVectorBytes = 64 };
// Bytes ahead of the stream that are asked for: one row alone lives on bandwidth, and does too much per byte for the CPU's
// own prefetcher to keep memory busy.
enum { kPrefetchBytes = 4096 };

__m512i LoadVector(const unsigned char* p) { return _mm512_loadu_si512(p); }

// Asks for what the stream will reach after kPrefetchBytes.
template <int Bytes>
inline __attribute__((always_inline)) void Prefetch(const unsigned char* p) {
  for (int i = 0; i < Bytes; i += 64)
    _mm_prefetch(reinterpret_cast<const char*>(p + kPrefetchBytes + i), _MM_HINT_T0);
}

// Up by N bits, or down where N is negative; what crosses bytes is masked by the caller.
template <int N>
inline __attribute__((always_inline)) __m512i Shift(__m512i v) {
  if constexpr (N > 0) return _mm512_slli_epi16(v, N);
  if constexpr (N < 0) return _mm512_srli_epi16(v, -N);
  return v;
}

// Codes of Q3_K are kept 8 times as large, so that their offset is 32 like Q6_K's and the sums can start at what the
// activations have ready.
constexpr int CodeShift(int format) { return format == kPackedQ3K ? 3 : 0; }

// Codes of Q2_K times their small scale still fit a byte: one integer sum per block instead of two.
constexpr bool ScalesCodes(int format) { return format == kPackedQ2K; }

// Code vector V (columns 4V to 4V + 3 of the block), unsigned.
template <int Format, int V>
inline __attribute__((always_inline)) __m512i CodeVector(const unsigned char* codes) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  constexpr int kUp = CodeShift(Format);
  __m512i code = LoadVector(codes + kVectorBytes * LowVectorOf(kTraits, V));
  if constexpr (kTraits.low_bits < 8) {
    constexpr int kMask = ((1 << kTraits.low_bits) - 1) << kUp;
    code = _mm512_and_si512(Shift<kUp - LowShiftOf(kTraits, V)>(code), _mm512_set1_epi8(kMask));
  }
  if constexpr (kTraits.high_bits != 0) {
    constexpr int kMask = ((1 << kTraits.high_bits) - 1) << (kTraits.low_bits + kUp);
    const __m512i high = Shift<kTraits.low_bits + kUp - HighShiftOf(kTraits, V)>(
        LoadVector(codes + kVectorBytes * HighVectorOf(kTraits, V)));
    code = _mm512_ternarylogic_epi32(code, high, _mm512_set1_epi8(kMask), 0xf8);  // code | (high & mask)
  }
  if constexpr (kTraits.table) {
    const __m128i values =
        _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kTableValues)), _mm_set1_epi8(-128));
    code = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(values), code);
  }
  return code;
}

// What one block's small scales give. Two groups: `group` holds their scales as floats, or as pairs of int16 where they
// are multiplied into the codes.
struct BlockScales {
  __m512 scale;
  __m512 minimum;  // added
  __m512 group[2];
  __m512i factor[2];
  __m512i mins;  // int16 pairs
};

template <int Format>
inline __attribute__((always_inline)) BlockScales ScalesOf(__m512 scale, __m512 minimum,
                                                           const unsigned char* small) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  BlockScales out;
  out.scale = scale;
  out.minimum = minimum;
  if constexpr (kTraits.groups == 1) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(small));
    out.scale = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)));
    if constexpr (kTraits.own_min) {
      const __m128i mins = _mm_loadu_si128(reinterpret_cast<const __m128i*>(small + 16));
      out.minimum = _mm512_mul_ps(minimum, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(mins)));
    }
  } else if constexpr (kTraits.groups == 2) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(small));
    const __m512i pairs = kTraits.own_min ? _mm512_cvtepu8_epi16(bytes) : _mm512_cvtepi8_epi16(bytes);
    if constexpr (ScalesCodes(Format)) {
      const __m512i scales = _mm512_and_si512(pairs, _mm512_set1_epi16(15));
      out.factor[1] = _mm512_srli_epi32(scales, 16);
      out.factor[0] = _mm512_mask_mov_epi16(_mm512_slli_epi32(scales, 16), 0x55555555u, scales);
      out.factor[1] = _mm512_or_si512(out.factor[1], _mm512_and_si512(scales, _mm512_set1_epi32(-65536)));
      out.mins = _mm512_srli_epi16(pairs, 4);
    } else {
      out.group[0] = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(pairs, 16), 16));
      out.group[1] = _mm512_cvtepi32_ps(_mm512_srai_epi32(pairs, 16));
      if constexpr (CodeShift(Format) != 0) {
        const __m512 down = _mm512_set1_ps(1.0f / (1 << CodeShift(Format)));
        out.group[0] = _mm512_mul_ps(out.group[0], down);
        out.group[1] = _mm512_mul_ps(out.group[1], down);
      }
    }
  }
  return out;
}

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

// Symmetric codes start the integer sum below zero instead of being shifted: exact, and free.
template <int Offset>
inline __attribute__((always_inline)) __m512i StartOf(int32_t start) {
  if constexpr (Offset == 0) return _mm512_setzero_si512();
  if constexpr (Offset == 128) return _mm512_set1_epi32(start);
  return _mm512_srai_epi32(_mm512_set1_epi32(start), Offset == 8 ? 4 : 3);
}

// One block of 32 columns for T rows.
template <int Format, int T>
inline __attribute__((always_inline)) void MultiplyBlock(const unsigned char* codes,
                                                         const BlockScales& scales, const unsigned char* tile,
                                                         __m512 (&acc)[T]) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  constexpr int kSplit = T <= 2 ? 2 : 1;
  constexpr bool kTwoSums = kTraits.groups == 2 && !ScalesCodes(Format);
  if constexpr (T <= 2) Prefetch<CodeBytes(kTraits) * kStripRows>(codes);
  const int32_t* activation = reinterpret_cast<const int32_t*>(tile);
  const float* activation_scales = reinterpret_cast<const float*>(tile + 32 * T);
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
  for (int t = 0; t < T; ++t) {
    const __m512 factor = _mm512_mul_ps(scales.scale, _mm512_set1_ps(activation_scales[t]));
    acc[t] = _mm512_fmadd_ps(values[t], factor, acc[t]);
    if constexpr (kTraits.own_min && kTraits.groups == 2) {
      const __m512i mins =
          _mm512_dpwssd_epi32(_mm512_setzero_si512(), scales.mins, _mm512_set1_epi32(starts[3 * T + t]));
      const __m512 min_factor = _mm512_mul_ps(scales.minimum, _mm512_set1_ps(activation_scales[t]));
      acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(mins), min_factor, acc[t]);
    } else if constexpr (kTraits.own_min) {
      acc[t] = _mm512_fmadd_ps(scales.minimum, _mm512_set1_ps(activation_scales[T + t]), acc[t]);
    }
  }
}

// `valid` rows of the strip, or all of them where more are left.
inline void StoreRows(float* out, __m512 acc, int32_t valid, bool accumulate) {
  const __mmask16 mask = static_cast<__mmask16>(valid < kStripRows ? (1u << valid) - 1 : 0xffffu);
  if (accumulate) acc = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, out), acc);
  _mm512_mask_storeu_ps(out, mask, acc);
}

template <int Format, int T>
void MultiplyBlocks(const unsigned char* super, const unsigned char* tile, int32_t blocks, float* y,
                    int64_t y_stride, int32_t valid, bool accumulate) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  __m512 acc[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) acc[t] = _mm512_setzero_ps();
  for (int32_t b = 0; b < blocks; b += kTraits.super) {
    const unsigned char* floats = super + ScalesAt(kTraits) * kStripRows;
    const __m512 scale = LoadHalf(reinterpret_cast<const uint16_t*>(floats));
    __m512 minimum = _mm512_setzero_ps();
    if constexpr (kTraits.own_min) {
      minimum = LoadHalf(reinterpret_cast<const uint16_t*>(floats) + kStripRows);
      if constexpr (kTraits.groups != 0) minimum = _mm512_xor_ps(minimum, _mm512_set1_ps(-0.0f));
    }
    if constexpr (T <= 2 && kTraits.super > 1) Prefetch<CodesAt(kTraits) * kStripRows>(super);
    const unsigned char* small = super + FloatScaleBytes(kTraits) * kStripRows;
    const unsigned char* codes = super + CodesAt(kTraits) * kStripRows;
#pragma GCC unroll 1
    for (int i = 0; i < kTraits.super; ++i) {
      MultiplyBlock<Format, T>(codes, ScalesOf<Format>(scale, minimum, small), tile, acc);
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
  for (int32_t k = 0; k < args.in; ++k)
#pragma GCC unroll 4
    for (int s = 0; s < Strips; ++s) {
      const unsigned char* weights = strip + s * args.strip_bytes;
      if constexpr (T <= 2)
        _mm_prefetch(reinterpret_cast<const char*>(weights + kPrefetchBytes / Strips + k * kColumnBytes),
                     _MM_HINT_T0);
      const __m512 w = LoadWeights<Format>(weights, k);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t)
        acc[s][t] = _mm512_fmadd_ps(w, _mm512_set1_ps(x[t * args.x_stride + k]), acc[s][t]);
    }
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
const KernelTable kAvx512VnniKernels = {"avx512vnni", kStripRows,   128,       MatMul,    Quantize,
                                        RmsNorm,      SiluMultiply, Rope,      Scale,     ExpArray,
                                        ToHalf,       Attention,    ProbeInt8, ProbeFp32, ProbeRead};

}  // namespace weir
