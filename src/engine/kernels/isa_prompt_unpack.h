// A strip's weights as the products of prompts read them, included inside the anonymous namespace of the AVX-512 ISA files that have
// VNNI and bf16, after isa_blocks_avx512.h.
//
// Shapes    w = scale * code + offset, with a signed code and a small offset; up to 18 blocks at a time
// Threads   pure functions
// Source    docs/KERNELS.md, "Prompts in int8"
#pragma once

// Two strips of as many stay in the first-level cache.
enum { kChunkBlocks = 18 };

// What is added beside the integer sums.
enum OffsetKind { kNoOffsets, kOffsetPerBlock, kOffsetPerHalf };

static constexpr OffsetKind OffsetKindOf(int format) {
  const FormatTraits traits = TraitsOf(format);
  return !traits.own_min ? kNoOffsets : traits.groups == 2 ? kOffsetPerHalf : kOffsetPerBlock;
}

// What is taken from a code, so that it is signed: what the format says, or the middle of codes that have an offset of their own.
static constexpr int CenterOf(int format) {
  const FormatTraits traits = TraitsOf(format);
  if (!traits.own_min) return traits.offset << CodeShift(format);
  return ScalesCodes(format) ? 16 : 1 << (traits.low_bits + traits.high_bits - 1);
}

// Some blocks of a strip. Starts are -128 * the sum of the codes; they and the scales, of which there is one for each step of the
// activations', are the block's, or those of its halves where these have their own. Offsets are pairs of bf16: of blocks 2i and 2i + 1,
// or of the halves of block i.
struct UnpackedStrip {
  alignas(64) signed char codes[kChunkBlocks][8][kVectorBytes];  // without the center
  alignas(64) int32_t starts[kChunkBlocks][2][kStripRows];
  alignas(64) float scales[kChunkBlocks][2][kSteps][kStripRows];
  alignas(64) uint32_t offsets[kChunkBlocks][kStripRows];
};

// Code vectors V to Last - 1; returns `sum` and theirs.
template <int Format, int V, int Last>
inline __attribute__((always_inline)) __m512i UnpackCodes(const unsigned char* codes,
                                                          const BlockScales& scales,
                                                          signed char (&out)[8][kVectorBytes], __m512i sum) {
  __m512i code = CodeVector<Format, V>(codes);
  if constexpr (ScalesCodes(Format)) code = _mm512_mullo_epi16(code, scales.factor[V / 4]);
  code = _mm512_sub_epi8(code, _mm512_set1_epi8(static_cast<char>(CenterOf(Format))));
  _mm512_store_si512(out[V], code);
  sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), code);
  if constexpr (V + 1 < Last) return UnpackCodes<Format, V + 1, Last>(codes, scales, out, sum);
  return sum;
}

// Two vectors in the low and the high halves of words, as bf16.
inline __attribute__((always_inline)) __m512i PairsOf(__m512 low, __m512 high) {
  const __m512i words = (__m512i)_mm512_cvtne2ps_pbh(high, low);
  alignas(64) static constexpr uint16_t kOrder[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                      21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                      11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return _mm512_permutexvar_epi16(_mm512_load_si512(kOrder), words);
}

// Blocks [first, first + count) of a strip; first is a multiple of every format's super-block.
template <int Format>
void Unpack(const unsigned char* strip, int32_t first, int32_t count, UnpackedStrip* out) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  constexpr float kCenter = static_cast<float>(CenterOf(Format));
  const unsigned char* super =
      strip + static_cast<int64_t>(first / kTraits.super) * SuperBytes(kTraits) * kStripRows;
  __m512 even = _mm512_setzero_ps();
  for (int32_t b = 0; b < count; super += SuperBytes(kTraits) * kStripRows) {
    const FloatScales floats = FloatScalesOf<Format>(super);
    const unsigned char* small = super + FloatScaleBytes(kTraits) * kStripRows;
    const unsigned char* codes = super + CodesAt(kTraits) * kStripRows;
    for (int i = 0; i < kTraits.super; ++i, ++b) {
      for (int at = 0; at < CodeBytes(kTraits) * kStripRows; at += 64)
        __builtin_prefetch(codes + at + kNearBytes, 0, kIntoL1);
      const BlockScales scales = ScalesOf<Format>(floats, small);
      const __m512i zero = _mm512_setzero_si512();
      const auto store_start = [&](int half, __m512i sum) __attribute__((always_inline)) {
        _mm512_store_si512(out->starts[b][half], _mm512_sub_epi32(zero, _mm512_slli_epi32(sum, 7)));
      };
      if constexpr (HasTwoSums(Format)) {
        store_start(0, UnpackCodes<Format, 0, 4>(codes, scales, out->codes[b], zero));
        store_start(1, UnpackCodes<Format, 4, 8>(codes, scales, out->codes[b], zero));
      } else {
        store_start(0, UnpackCodes<Format, 0, 8>(codes, scales, out->codes[b], zero));
      }
      const auto store_scales = [&](int half, __m512 scale) __attribute__((always_inline)) {
#pragma GCC unroll 4
        for (int step = 0; step < kSteps; ++step)
          _mm512_store_ps(out->scales[b][half][step],
                          _mm512_mul_ps(scale, _mm512_set1_ps(1.0f + static_cast<float>(step) /
                                                                         static_cast<float>(kSteps))));
      };
      if constexpr (HasTwoSums(Format)) {
        store_scales(0, _mm512_mul_ps(scales.scale, scales.group[0]));
        store_scales(1, _mm512_mul_ps(scales.scale, scales.group[1]));
      } else {
        store_scales(0, scales.scale);
      }
      if constexpr (OffsetKindOf(Format) == kOffsetPerHalf) {
        const __m512i low = _mm512_srai_epi32(_mm512_slli_epi32(scales.mins, 16), 16);
        const __m512i high = _mm512_srai_epi32(scales.mins, 16);
        const __m512 middle = _mm512_mul_ps(scales.scale, _mm512_set1_ps(kCenter));
        _mm512_store_si512(out->offsets[b],
                           PairsOf(_mm512_fmadd_ps(scales.minimum, _mm512_cvtepi32_ps(low), middle),
                                   _mm512_fmadd_ps(scales.minimum, _mm512_cvtepi32_ps(high), middle)));
      } else if constexpr (OffsetKindOf(Format) == kOffsetPerBlock) {
        const __m512 offset = _mm512_fmadd_ps(scales.scale, _mm512_set1_ps(kCenter), scales.minimum);
        if (b % 2 == 0) even = offset;
        _mm512_store_si512(out->offsets[b / 2],
                           b % 2 == 0 ? PairsOf(offset, _mm512_setzero_ps()) : PairsOf(even, offset));
      }
      small += SmallScaleBytes(kTraits) * kStripRows;
      codes += CodeBytes(kTraits) * kStripRows;
    }
  }
}
