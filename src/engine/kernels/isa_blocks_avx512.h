// Blocks of 16-row strips in AVX-512 registers: their codes, their scales, and the float chain behind the integer sums;
// included inside the anonymous namespace of the AVX-512 ISA files, after isa_lanes_avx512.h and isa_formats.h.
//
// Threads   pure functions
#pragma once

enum { kStripRows = 16, kVectorBytes = 64 };

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

// Those of a super-block; the minimum is what a block's scales turn into what is added.
struct FloatScales {
  __m512 scale;
  __m512 minimum;
};

template <int Format>
inline __attribute__((always_inline)) FloatScales FloatScalesOf(const unsigned char* super) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  const uint16_t* halves = reinterpret_cast<const uint16_t*>(super + ScalesAt(kTraits) * kStripRows);
  FloatScales out = {LoadHalf(halves), _mm512_setzero_ps()};
  if constexpr (kTraits.own_min) {
    out.minimum = LoadHalf(halves + kStripRows);
    if constexpr (kTraits.groups != 0) out.minimum = _mm512_xor_ps(out.minimum, _mm512_set1_ps(-0.0f));
  }
  return out;
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
inline __attribute__((always_inline)) BlockScales ScalesOf(const FloatScales& floats,
                                                           const unsigned char* small) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  BlockScales out;
  out.scale = floats.scale;
  out.minimum = floats.minimum;
  if constexpr (kTraits.groups == 1) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(small));
    out.scale = _mm512_mul_ps(floats.scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)));
    if constexpr (kTraits.own_min) {
      const __m128i mins = _mm_loadu_si128(reinterpret_cast<const __m128i*>(small + 16));
      out.minimum = _mm512_mul_ps(floats.minimum, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(mins)));
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

// Symmetric codes start the integer sum below zero instead of being shifted: exact, and free.
template <int Offset>
inline __attribute__((always_inline)) __m512i StartOf(int32_t start) {
  if constexpr (Offset == 0) return _mm512_setzero_si512();
  if constexpr (Offset == 128) return _mm512_set1_epi32(start);
  return _mm512_srai_epi32(_mm512_set1_epi32(start), Offset == 8 ? 4 : 3);
}

// Whether the integer sums of the two groups of 16 columns stay apart.
constexpr bool HasTwoSums(int format) { return TraitsOf(format).groups == 2 && !ScalesCodes(format); }

// The end of a block for row t of T: `value` is its integer sum, with the groups' scales in it.
template <int Format, int T>
inline __attribute__((always_inline)) void AddValue(__m512 value, const BlockScales& scales,
                                                    const unsigned char* tile, int t, __m512& acc) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  const float* activation_scales = reinterpret_cast<const float*>(tile + 32 * T);
  const __m512 factor = _mm512_mul_ps(scales.scale, _mm512_set1_ps(activation_scales[t]));
  acc = _mm512_fmadd_ps(value, factor, acc);
  if constexpr (kTraits.own_min && kTraits.groups == 2) {
    const int32_t* half_sums = reinterpret_cast<const int32_t*>(tile + 52 * T);
    const __m512i mins =
        _mm512_dpwssd_epi32(_mm512_setzero_si512(), scales.mins, _mm512_set1_epi32(half_sums[t]));
    const __m512 min_factor = _mm512_mul_ps(scales.minimum, _mm512_set1_ps(activation_scales[t]));
    acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(mins), min_factor, acc);
  } else if constexpr (kTraits.own_min) {
    acc = _mm512_fmadd_ps(scales.minimum, _mm512_set1_ps(activation_scales[T + t]), acc);
  }
}

// A column of a block, as floats.
template <int Format>
inline __attribute__((always_inline)) __m512 ColumnOf(const unsigned char* codes, const BlockScales& scales,
                                                      int32_t column) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  const int v = column / 4;
  const int group = column / 16;
  // The code at `shift` in byte column % 4 of every lane of a vector.
  const auto take = [&](int vector, int shift, int bits) __attribute__((always_inline)) {
    return _mm512_and_si512(_mm512_srl_epi32(LoadVector(codes + kVectorBytes * vector),
                                             _mm_cvtsi32_si128(column % 4 * 8 + shift)),
                            _mm512_set1_epi32((1 << bits) - 1));
  };
  __m512i code = take(LowVectorOf(kTraits, v), LowShiftOf(kTraits, v), kTraits.low_bits);
  if constexpr (kTraits.high_bits != 0)
    code = _mm512_or_si512(
        code, _mm512_slli_epi32(take(HighVectorOf(kTraits, v), HighShiftOf(kTraits, v), kTraits.high_bits),
                                kTraits.low_bits));
  if constexpr (kTraits.table)
    code = _mm512_permutexvar_epi32(
        code, _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kTableValues))));
  else
    code = _mm512_sub_epi32(code, _mm512_set1_epi32(kTraits.offset));
  if constexpr (ScalesCodes(Format))
    code = _mm512_mullo_epi32(code, _mm512_and_si512(scales.factor[group], _mm512_set1_epi32(0xffff)));
  __m512 value = _mm512_cvtepi32_ps(code);
  if constexpr (HasTwoSums(Format)) {
    if constexpr (CodeShift(Format) != 0)
      value = _mm512_mul_ps(value, _mm512_set1_ps(1 << CodeShift(Format)));
    value = _mm512_mul_ps(value, scales.group[group]);
  }
  if constexpr (!kTraits.own_min) return _mm512_mul_ps(value, scales.scale);
  __m512 minimum = scales.minimum;
  if constexpr (kTraits.groups == 2) {
    const __m512i min = group == 0 ? _mm512_and_si512(scales.mins, _mm512_set1_epi32(0xffff))
                                   : _mm512_srli_epi32(scales.mins, 16);
    minimum = _mm512_mul_ps(minimum, _mm512_cvtepi32_ps(min));
  }
  return _mm512_fmadd_ps(value, scales.scale, minimum);
}

// `valid` rows of the strip, or all of them where more are left.
inline void StoreRows(float* out, __m512 acc, int32_t valid, bool accumulate) {
  const __mmask16 mask = static_cast<__mmask16>(valid < kStripRows ? (1u << valid) - 1 : 0xffffu);
  if (accumulate) acc = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, out), acc);
  _mm512_mask_storeu_ps(out, mask, acc);
}
