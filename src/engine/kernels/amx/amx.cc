// Products of many rows on the AMX tiles: 16 activation rows times 16 matrix rows times a block of 32 columns at once.
//
// The sums are the same integers as on the VNNI path, and the float chain behind them is the same, so both paths give
// the same bits: few rows go there, many come here.
#include <immintrin.h>

#include "engine/kernels/isa_abi.h"

namespace weir {

namespace {

// The order matters: blank lines keep it.
#include "engine/kernels/isa_lanes_avx512.h"

#include "engine/kernels/isa_formats.h"

#include "engine/kernels/isa_blocks_avx512.h"

enum {
  kCodeBytes = 32 * kStripRows,  // of one block, as whole bytes
  // Strips that a tile of activations is multiplied by in turn, and blocks of them that are unpacked at a time: with the tile
  // they fill the 48 KB of a first-level cache. A multiple of the blocks that share a scale.
  kStripsTogether = 2,
  kChunkBlocks = 24,
  // Terms whose integer sums are in flight: a product takes far longer than the float chain of one.
  kAhead = 4,
  // Row tiles whose sums wait on the stack when a strip has more than one chunk.
  kWaitingTiles = 16,
};

// A piece of a strip as the tiles read it.
struct alignas(64) Unpacked {
  unsigned char codes[kChunkBlocks][kCodeBytes];
  float scales[kChunkBlocks][kStripRows];
  float minima[kChunkBlocks][kStripRows];
  float groups[kChunkBlocks][2]
              [kStripRows];  // of two sums; where codes are scaled, the first holds int16 pairs of mins
};

// Palette 1; registers 0 to 3 hold sums, 4 and 5 activation rows, 6 and 7 codes.
struct alignas(64) TileConfig {
  unsigned char palette = 1;
  unsigned char start_row = 0;
  unsigned char reserved[14] = {};
  uint16_t column_bytes[16] = {64, 64, 64, 64, 0, 0, 64, 64};
  unsigned char rows[16] = {};

  TileConfig(int32_t activation_rows, int32_t columns) {
    for (int i = 0; i < 6; ++i) rows[i] = static_cast<unsigned char>(activation_rows);
    rows[6] = rows[7] = static_cast<unsigned char>(columns / 4);
    column_bytes[4] = column_bytes[5] = static_cast<uint16_t>(columns);
  }
};

template <int Format, int V>
inline __attribute__((always_inline)) void UnpackCodes(const unsigned char* codes, const BlockScales& scales,
                                                       unsigned char* out) {
  __m512i code = CodeVector<Format, V>(codes);
  if constexpr (ScalesCodes(Format)) code = _mm512_mullo_epi16(code, scales.factor[V / 4]);
  _mm512_store_si512(out + V * kVectorBytes, code);
  if constexpr (V < 7) UnpackCodes<Format, V + 1>(codes, scales, out);
}

// Blocks [first, first + count) of a strip; first is a multiple of every format's super-block.
template <int Format>
void Unpack(const unsigned char* strip, int32_t first, int32_t count, Unpacked* out) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  const unsigned char* super =
      strip + static_cast<int64_t>(first / kTraits.super) * SuperBytes(kTraits) * kStripRows;
  for (int32_t b = 0; b < count; b += kTraits.super, super += SuperBytes(kTraits) * kStripRows) {
    const unsigned char* floats = super + ScalesAt(kTraits) * kStripRows;
    const __m512 scale = LoadHalf(reinterpret_cast<const uint16_t*>(floats));
    __m512 minimum = _mm512_setzero_ps();
    if constexpr (kTraits.own_min) {
      minimum = LoadHalf(reinterpret_cast<const uint16_t*>(floats) + kStripRows);
      if constexpr (kTraits.groups != 0) minimum = _mm512_xor_ps(minimum, _mm512_set1_ps(-0.0f));
    }
    const unsigned char* small = super + FloatScaleBytes(kTraits) * kStripRows;
    const unsigned char* codes = super + CodesAt(kTraits) * kStripRows;
    for (int i = 0; i < kTraits.super; ++i) {
      const BlockScales scales = ScalesOf<Format>(scale, minimum, small);
      UnpackCodes<Format, 0>(codes, scales, out->codes[b + i]);
      _mm512_store_ps(out->scales[b + i], scales.scale);
      if constexpr (kTraits.own_min) _mm512_store_ps(out->minima[b + i], scales.minimum);
      if constexpr (HasTwoSums(Format)) {
        _mm512_store_ps(out->groups[b + i][0], scales.group[0]);
        _mm512_store_ps(out->groups[b + i][1], scales.group[1]);
      }
      if constexpr (ScalesCodes(Format)) _mm512_store_si512(out->groups[b + i][0], scales.mins);
      small += SmallScaleBytes(kTraits) * kStripRows;
      codes += CodeBytes(kTraits) * kStripRows;
    }
  }
}

// One term of one block: a tile's codes with their scales and sums, and the block of the strip.
struct Term {
  const unsigned char* activation;
  int32_t block;
};

// The terms of a row tile in order: a block has a second one only where some row has it.
template <int T>
int32_t ListTerms(const unsigned char* tile, const unsigned char* residual, int32_t blocks, Term* terms) {
  constexpr int32_t kBytes = T * kActivationBlockBytes;
  int32_t count = 0;
  for (int32_t b = 0; b < blocks; ++b) {
    terms[count++] = {tile + b * kBytes, b};
    if (residual == nullptr) continue;
    const unsigned char* second = residual + b * kBytes;
    const __m512 scales = _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << T) - 1), second + 32 * T);
    if (_mm512_cmp_ps_mask(scales, _mm512_setzero_ps(), _CMP_NEQ_OQ) != 0) terms[count++] = {second, b};
  }
  return count;
}

// The intrinsics are macros that want register numbers spelled out.
template <int Set>
inline __attribute__((always_inline)) void MultiplyTiles(const unsigned char* activation,
                                                         const unsigned char* codes, int32_t* sums) {
  if constexpr (Set == 0) {
    _tile_loadd(4, activation, 32);
    _tile_loadd(6, codes, kVectorBytes);
    _tile_zero(0);
    _tile_dpbsud(0, 4, 6);
    _tile_stored(0, sums, kVectorBytes);
  } else if constexpr (Set == 1) {
    _tile_loadd(5, activation, 32);
    _tile_loadd(7, codes, kVectorBytes);
    _tile_zero(1);
    _tile_dpbsud(1, 5, 7);
    _tile_stored(1, sums, kVectorBytes);
  } else if constexpr (Set == 2) {
    _tile_loadd(4, activation, 32);
    _tile_loadd(6, codes, kVectorBytes);
    _tile_zero(2);
    _tile_dpbsud(2, 4, 6);
    _tile_stored(2, sums, kVectorBytes);
  } else {
    _tile_loadd(5, activation, 32);
    _tile_loadd(7, codes, kVectorBytes);
    _tile_zero(3);
    _tile_dpbsud(3, 5, 7);
    _tile_stored(3, sums, kVectorBytes);
  }
}

template <int Format, int Set>
inline __attribute__((always_inline)) void IntegerSums(const Term& term, const Unpacked& strip,
                                                       int32_t (*sums)[16 * kStripRows]) {
  const unsigned char* codes = strip.codes[term.block];
  MultiplyTiles<Set>(term.activation, codes, sums[0]);
  if constexpr (HasTwoSums(Format)) MultiplyTiles<Set>(term.activation + 16, codes + kCodeBytes / 2, sums[1]);
}

template <int Format, int T>
inline __attribute__((always_inline)) void AddTerm(const Term& term, const Unpacked& strip,
                                                   const int32_t (*sums)[16 * kStripRows], __m512 (&acc)[T]) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  const int32_t* starts = reinterpret_cast<const int32_t*>(term.activation + 40 * T);
  BlockScales scales;
  scales.scale = _mm512_load_ps(strip.scales[term.block]);
  if constexpr (kTraits.own_min) scales.minimum = _mm512_load_ps(strip.minima[term.block]);
  if constexpr (ScalesCodes(Format)) scales.mins = _mm512_load_si512(strip.groups[term.block][0]);
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
    __m512i sum = _mm512_load_si512(sums[0] + 16 * t);
    __m512 value[1];
    if constexpr (HasTwoSums(Format)) {
      sum = _mm512_add_epi32(sum, _mm512_set1_epi32(starts[T + t]));
      const __m512i last =
          _mm512_add_epi32(_mm512_load_si512(sums[1] + 16 * t), _mm512_set1_epi32(starts[2 * T + t]));
      value[0] = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_load_ps(strip.groups[term.block][0]));
      value[0] =
          _mm512_fmadd_ps(_mm512_cvtepi32_ps(last), _mm512_load_ps(strip.groups[term.block][1]), value[0]);
    } else {
      if constexpr (kTraits.offset != 0) sum = _mm512_add_epi32(sum, StartOf<kTraits.offset>(starts[t]));
      value[0] = _mm512_cvtepi32_ps(sum);
    }
    AddValue<Format, T>(value[0], scales, term.activation, t, acc[t]);
  }
}

// The unpacked blocks times a tile of T rows, added to acc[t][row of the strip].
template <int Format, int T>
void MultiplyTile(const Unpacked& strip, int32_t blocks, const unsigned char* tile,
                  const unsigned char* residual, float* waiting, bool first) {
  Term terms[2 * kChunkBlocks];
  const int32_t count = ListTerms<T>(tile, residual, blocks, terms);
  alignas(64) int32_t sums[kAhead][HasTwoSums(Format) ? 2 : 1][16 * kStripRows];
  __m512 acc[T];
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) acc[t] = first ? _mm512_setzero_ps() : _mm512_load_ps(waiting + 16 * t);
  const auto start = [&]<int Set>(int32_t i) __attribute__((always_inline)) {
    if (i < count) IntegerSums<Format, Set>(terms[i], strip, sums[Set]);
  };
  start.template operator()<0>(0);
  start.template operator()<1>(1);
  start.template operator()<2>(2);
  for (int32_t i = 0; i < count; i += kAhead) {
    start.template operator()<3>(i + 3);
    AddTerm<Format, T>(terms[i], strip, sums[0], acc);
    start.template operator()<0>(i + 4);
    if (i + 1 < count) AddTerm<Format, T>(terms[i + 1], strip, sums[1], acc);
    start.template operator()<1>(i + 5);
    if (i + 2 < count) AddTerm<Format, T>(terms[i + 2], strip, sums[2], acc);
    start.template operator()<2>(i + 6);
    if (i + 3 < count) AddTerm<Format, T>(terms[i + 3], strip, sums[3], acc);
  }
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) _mm512_store_ps(waiting + 16 * t, acc[t]);
}

using TileProduct = void (*)(const Unpacked& strip, int32_t blocks, const unsigned char* tile,
                             const unsigned char* residual, float* waiting, bool first);

template <int Format>
constexpr TileProduct kTileProducts[kWideTileRows + 1] = {nullptr,
                                                          nullptr,
                                                          nullptr,
                                                          nullptr,
                                                          nullptr,
                                                          nullptr,
                                                          nullptr,
                                                          nullptr,
                                                          nullptr,
                                                          MultiplyTile<Format, 9>,
                                                          MultiplyTile<Format, 10>,
                                                          MultiplyTile<Format, 11>,
                                                          MultiplyTile<Format, 12>,
                                                          MultiplyTile<Format, 13>,
                                                          MultiplyTile<Format, 14>,
                                                          MultiplyTile<Format, 15>,
                                                          MultiplyTile<Format, 16>};

void StoreTile(const IsaMatMul& args, const float* waiting, int32_t rows, int32_t valid, float* y) {
  for (int32_t t = 0; t < rows; ++t)
    StoreRows(y + t * args.y_stride, _mm512_load_ps(waiting + 16 * t), valid, args.accumulate != 0);
}

template <int Format>
void StripRange(const IsaMatMul& args) {
  const int32_t blocks = args.in / 32;
  const int32_t num_tiles = (args.rows + kWideTileRows - 1) / kWideTileRows;
  const int32_t small = args.rows / num_tiles;
  const int32_t num_large = args.rows % num_tiles;
  constexpr int32_t kColumns = HasTwoSums(Format) ? 16 : 32;
  const TileConfig configs[2] = {TileConfig(small, kColumns), TileConfig(small + 1, kColumns)};
  int32_t configured = -1;
  Unpacked strips[kStripsTogether];
  alignas(64) float waiting[kWaitingTiles][kStripsTogether][16 * kStripRows];
  for (int32_t s = args.first_strip; s < args.last_strip; s += kStripsTogether) {
    const int32_t num_strips =
        args.last_strip - s < kStripsTogether ? args.last_strip - s : static_cast<int32_t>(kStripsTogether);
    for (int32_t first_tile = 0; first_tile < num_tiles; first_tile += kWaitingTiles) {
      const int32_t last_tile =
          first_tile + kWaitingTiles < num_tiles ? first_tile + kWaitingTiles : num_tiles;
      for (int32_t first_block = 0; first_block < blocks; first_block += kChunkBlocks) {
        const int32_t count =
            blocks - first_block < kChunkBlocks ? blocks - first_block : static_cast<int32_t>(kChunkBlocks);
        // Strips of one chunk stay unpacked for all tiles.
        if (blocks > kChunkBlocks || first_tile == 0)
          for (int32_t j = 0; j < num_strips; ++j)
            Unpack<Format>(args.strips + (s + j) * args.strip_bytes, first_block, count, &strips[j]);
        for (int32_t i = first_tile; i < last_tile; ++i) {
          const int32_t is_large = i < num_large ? 1 : 0;
          const int32_t rows = small + is_large;
          if (configured != is_large) {
            _tile_loadconfig(&configs[is_large]);
            configured = is_large;
          }
          const int32_t first_row = i * small + (is_large != 0 ? i : num_large);
          const int64_t offset =
              (static_cast<int64_t>(first_row) * blocks + static_cast<int64_t>(first_block) * rows) *
              kActivationBlockBytes;
          const unsigned char* residual = args.residual == nullptr ? nullptr : args.residual + offset;
          // The activations of the tile come from further away than the strips, so they serve all of these.
          for (int32_t j = 0; j < num_strips; ++j) {
            float* sums = waiting[i - first_tile][j];
            kTileProducts<Format>[rows](strips[j], count, args.activations + offset, residual, sums,
                                        first_block == 0);
            if (first_block + count == blocks)
              StoreTile(args, sums, rows, args.out - (s + j) * kStripRows,
                        args.y + first_row * args.y_stride +
                            static_cast<int64_t>(s + j - args.first_strip) * kStripRows);
          }
        }
      }
    }
  }
  _tile_release();
}

void MatMul(const IsaMatMul* args) {
  switch (args->format) {
    case kPackedNibbleMin:
      return StripRange<kPackedNibbleMin>(*args);
    case kPackedNibbleSymmetric:
      return StripRange<kPackedNibbleSymmetric>(*args);
    case kPackedByteSymmetric:
      return StripRange<kPackedByteSymmetric>(*args);
    case kPackedQ4K:
      return StripRange<kPackedQ4K>(*args);
    case kPackedQ6K:
      return StripRange<kPackedQ6K>(*args);
    case kPackedQ5_0:
      return StripRange<kPackedQ5_0>(*args);
    case kPackedQ5_1:
      return StripRange<kPackedQ5_1>(*args);
    case kPackedQ5K:
      return StripRange<kPackedQ5K>(*args);
    case kPackedQ2K:
      return StripRange<kPackedQ2K>(*args);
    case kPackedQ3K:
      return StripRange<kPackedQ3K>(*args);
    case kPackedIq4Nl:
      return StripRange<kPackedIq4Nl>(*args);
    default:
      return StripRange<kPackedIq4Xs>(*args);
  }
}

}  // namespace

extern void (*const kAmxMatMul)(const IsaMatMul* args);
void (*const kAmxMatMul)(const IsaMatMul* args) = MatMul;

}  // namespace weir
