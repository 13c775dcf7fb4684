#include "engine/kernels/strip_repack.h"

#include <cstring>

#include "engine/kernels/strip_vectors.h"
#include "engine/tensor/block_codes.h"
#include "engine/tensor/blocks.h"

namespace weir {
namespace {

#include "engine/kernels/isa_formats.h"

constexpr uint32_t kFour = 0x0f0f0f0f;

// What a block of four rows becomes on its way: scales as ReadBlock tells them, codes as the type's reader wants.
template <int kFormat>
struct Reader {
  void Read(DType dtype, const std::byte* source) { ReadBlock(dtype, source, &block); }
  U32x4 Codes(int b, int half) const { return LoadVector<U32x4>(block.codes + 32 * b + 16 * half); }
  BlockCodes block;
};

// The common types of 256 are taken apart in registers, without writing their codes as bytes first.
template <typename Block>
struct NibbleReader {
  void Read(DType /*dtype*/, const std::byte* source) {
    std::memcpy(&from, source, sizeof from);
    block.scale = from.scale;
    block.min = from.min;
    // Six bits each: those of the first four groups in one piece, of the others four bits and two.
    uint32_t packed[3];
    std::memcpy(packed, from.scales, sizeof packed);
    const uint32_t scales[2] = {packed[0] & 0x3f3f3f3fu,
                                (packed[2] & kFour) | (packed[0] >> 2 & 0x30303030u)};
    const uint32_t mins[2] = {packed[1] & 0x3f3f3f3fu,
                              (packed[2] >> 4 & kFour) | (packed[1] >> 2 & 0x30303030u)};
    std::memcpy(block.scales, scales, sizeof scales);
    std::memcpy(block.mins, mins, sizeof mins);
  }
  U32x4 Low(int b, int half) const {
    return LoadVector<U32x4>(from.qs + 32 * (b / 2) + 16 * half) >> 4 * (b % 2) & kFour;
  }
  Block from;
  BlockCodes block;
};

template <>
struct Reader<kPackedQ4K> : NibbleReader<BlockQ4_K> {
  U32x4 Codes(int b, int half) const { return Low(b, half); }
};

template <>
struct Reader<kPackedQ5K> : NibbleReader<BlockQ5_K> {
  U32x4 Codes(int b, int half) const {
    return Low(b, half) | (LoadVector<U32x4>(from.qh + 16 * half) >> b & 0x01010101u) << 4;
  }
};

template <>
struct Reader<kPackedQ6K> {
  void Read(DType /*dtype*/, const std::byte* source) {
    std::memcpy(&from, source, sizeof from);
    block.scale = from.scale;
    std::memcpy(block.scales, from.scales, sizeof from.scales);
  }
  U32x4 Codes(int b, int half) const {
    const int n = b / 4, j = b % 4;
    const U32x4 low = LoadVector<U32x4>(from.ql + 64 * n + 32 * (j % 2) + 16 * half) >> 4 * (j / 2) & kFour;
    return low | (LoadVector<U32x4>(from.qh + 32 * n + 16 * half) >> 2 * j & 0x03030303u) << 4;
  }
  BlockQ6_K from;
  BlockCodes block;
};

// Byte i of the four words becomes word i.
U32x4 TransposeBytes(U32x4 words) {
  using U8x16 = uint8_t __attribute__((vector_size(16)));
  U8x16 v = reinterpret_cast<U8x16>(words);
  for (int i = 0; i < 2; ++i)
    v = __builtin_shufflevector(v, v, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
  return reinterpret_cast<U32x4>(v);
}

// Four blocks' bytes of four rows, each block's to a place of its own.
template <int kStride>
void StoreBytes(const int8_t* const (&rows)[4], unsigned char* out) {
  U32x4 words;
  for (int i = 0; i < 4; ++i) {
    uint32_t word;
    std::memcpy(&word, rows[i], sizeof word);
    words[i] = word;
  }
  words = TransposeBytes(words);
  for (int b = 0; b < 4; ++b) {
    const uint32_t word = words[b];
    std::memcpy(out + b * kStride, &word, sizeof word);
  }
}

// The small scales of four rows, in the order of isa_formats.h.
template <int kFormat, int kStripRows, typename Rows>
void PackSmallScales(const Rows& four, unsigned char* scales, int row) {
  constexpr FormatTraits f = TraitsOf(kFormat);
  constexpr int kStride = SmallScaleBytes(f) * kStripRows;
  if constexpr (f.groups == 1) {
    for (int b = 0; b < f.super; b += 4) {
      unsigned char* out = scales + b * kStride + row;
      StoreBytes<kStride>({four[0].block.scales + b, four[1].block.scales + b, four[2].block.scales + b,
                           four[3].block.scales + b},
                          out);
      if (f.own_min)
        StoreBytes<kStride>(
            {four[0].block.mins + b, four[1].block.mins + b, four[2].block.mins + b, four[3].block.mins + b},
            out + kStripRows);
    }
  } else if constexpr (f.groups == 2) {
    for (int b = 0; b < f.super; ++b) {
      for (int i = 0; i < 4; ++i) {
        const BlockCodes& block = four[i].block;
        int8_t pair[2] = {block.scales[2 * b], block.scales[2 * b + 1]};
        if (f.own_min)
          for (int g = 0; g < 2; ++g) pair[g] = static_cast<int8_t>(pair[g] | block.mins[2 * b + g] << 4);
        std::memcpy(scales + b * kStride + 2 * (row + i), pair, sizeof pair);
      }
    }
  }
}

template <int kFormat, int kStripRows>
bool RepackBlocks(const PackedMatrix& matrix, const std::byte* rows, unsigned char* super) {
  constexpr FormatTraits f = TraitsOf(kFormat);
  constexpr uint32_t kLowMask = ((1u << f.low_bits) - 1) * 0x01010101u;
  constexpr uint32_t kHighMask = ((1u << f.high_bits) - 1) * 0x01010101u;
  const auto block_bytes = static_cast<int64_t>(Traits(matrix.dtype).block_bytes);
  const int64_t num_super = matrix.in / (32 * f.super);
  const int64_t row_bytes = num_super * block_bytes;
  unsigned not_finite = 0;
  Reader<kFormat> four[4];
  for (int64_t s = 0; s < num_super; ++s, super += SuperBytes(f) * kStripRows) {
    PrefetchNextStrip(rows + kStripRows * (row_bytes + s * block_bytes), kStripRows * block_bytes);
    for (int r = 0; r < kStripRows; r += 4) {
      unsigned char* halves = super + ScalesAt(f) * kStripRows + 2 * r;
      for (int i = 0; i < 4; ++i) {
        four[i].Read(matrix.dtype, rows + (r + i) * row_bytes + s * block_bytes);
        const BlockCodes& block = four[i].block;
        std::memcpy(halves + 2 * i, &block.scale, 2);
        // Bit 15 is set when the exponent was all ones.
        not_finite |= (block.scale & 0x7c00u) + 0x0400u;
        if (!f.own_min) continue;
        std::memcpy(halves + 2 * (kStripRows + i), &block.min, 2);
        not_finite |= (block.min & 0x7c00u) + 0x0400u;
      }
      PackSmallScales<kFormat, kStripRows>(four, super + FloatScaleBytes(f) * kStripRows, r);
      unsigned char* codes = super + CodesAt(f) * kStripRows + 4 * r;
      for (int b = 0; b < f.super; ++b, codes += CodeBytes(f) * kStripRows) {
        U32x4 packed[CodeVectors(f)] = {};
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
          U32x4 v[4] = {four[0].Codes(b, half), four[1].Codes(b, half), four[2].Codes(b, half),
                        four[3].Codes(b, half)};
          Transpose(v);
#pragma GCC unroll 4
          for (int i = 0; i < 4; ++i) {
            const int at = 4 * half + i;
            packed[LowVectorOf(f, at)] |= (v[i] & kLowMask) << LowShiftOf(f, at);
            if (f.high_bits != 0)
              packed[HighVectorOf(f, at)] |= (v[i] >> f.low_bits & kHighMask) << HighShiftOf(f, at);
          }
        }
        for (int i = 0; i < CodeVectors(f); ++i) StoreVector(codes + i * 4 * kStripRows, packed[i]);
      }
    }
  }
  return (not_finite & 0x8000u) == 0;
}

template <int kFormat>
bool RepackBlocks(const PackedMatrix& matrix, const std::byte* rows, unsigned char* strip) {
  if (matrix.strip_rows == 16) return RepackBlocks<kFormat, 16>(matrix, rows, strip);
  if (matrix.strip_rows == 8) return RepackBlocks<kFormat, 8>(matrix, rows, strip);
  return false;
}

}  // namespace

bool RepackStrip(const PackedMatrix& matrix, const std::byte* rows, unsigned char* strip) {
  switch (matrix.format) {
    case kPackedQ5_0:
      return RepackBlocks<kPackedQ5_0>(matrix, rows, strip);
    case kPackedQ5_1:
      return RepackBlocks<kPackedQ5_1>(matrix, rows, strip);
    case kPackedQ2K:
      return RepackBlocks<kPackedQ2K>(matrix, rows, strip);
    case kPackedQ3K:
      return RepackBlocks<kPackedQ3K>(matrix, rows, strip);
    case kPackedQ4K:
      return RepackBlocks<kPackedQ4K>(matrix, rows, strip);
    case kPackedQ5K:
      return RepackBlocks<kPackedQ5K>(matrix, rows, strip);
    case kPackedQ6K:
      return RepackBlocks<kPackedQ6K>(matrix, rows, strip);
    case kPackedIq4Nl:
      return RepackBlocks<kPackedIq4Nl>(matrix, rows, strip);
    case kPackedIq4Xs:
      return RepackBlocks<kPackedIq4Xs>(matrix, rows, strip);
    default:
      return false;
  }
}

}  // namespace weir
