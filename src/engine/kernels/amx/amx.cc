// Products of a prompt's rows on the AMX tiles, in bf16: 16 activation rows times 16 matrix rows times a block of 32 columns at
// once, added in f32.
//
// Shapes    activations as isa_abi.h says; a strip is unpacked into blocks of [16 pairs of columns][16 rows][2] bf16
// Threads   pure functions
// Source    docs/KERNELS.md, "Prompts on tiles"
//
// A result is one chain of pairs of columns in order, which starts at 0 or at what it is added to: its bits depend neither on
// the other rows nor on how rows, strips and columns are cut into pieces.
#include <immintrin.h>

#include "engine/kernels/isa_abi.h"

namespace weir {

namespace {

// The order matters: blank lines keep it.
#include "engine/kernels/isa_maxima.h"

#include "engine/kernels/isa_lanes_avx512.h"

#include "engine/kernels/isa_formats.h"

#include "engine/kernels/isa_prefetch.h"

#include "engine/kernels/isa_blocks_avx512.h"

#include "engine/kernels/isa_exp.h"

static inline void MultiplyFour(const unsigned char* a, int64_t next_a, const unsigned char* b,
                                int64_t next_b, int64_t step_b, int32_t depth, float* out,
                                int64_t out_stride);

#include "engine/kernels/isa_attention_prompts.h"

#include "engine/kernels/isa_prompt_silu.h"

enum {
  // Blocks of two strips that are unpacked at a time, for all rows: they stay in the first-level cache. Cutting costs a pass
  // over the sums, so a few more go in one piece. The smaller is a multiple of the blocks that share a scale.
  kChunkBlocks = 16,
  kMostBlocks = 24,
};

using Tile = unsigned char[kTileBytes];

// Palette 1, all registers 16 rows of 64 bytes: 0 to 3 hold sums, 4 and 5 activations, 6 and 7 weights.
struct alignas(64) TileConfig {
  unsigned char palette = 1;
  unsigned char start_row = 0;
  unsigned char reserved[14] = {};
  uint16_t column_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  unsigned char rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Codes of up to 7 bits become floats by being put into the mantissa of 2: 2 + code / 64, whose 2 the offset takes back. That
// is half as much work as converting them.
constexpr bool FitsMantissa(int format) {
  const FormatTraits traits = TraitsOf(format);
  return !traits.table && traits.low_bits + traits.high_bits + CodeShift(format) < 8;
}

// w = FloatOf(code) * scale + offset, for the first and the last 16 columns of a block.
struct HalfScales {
  __m512 scale[2];
  __m512 offset[2];
};

template <int Format>
inline __attribute__((always_inline)) HalfScales HalfScalesOf(const BlockScales& scales) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  HalfScales out;
  for (int h = 0; h < 2; ++h) {
    out.scale[h] = scales.scale;
    if constexpr (ScalesCodes(Format)) {
      const __m512i factor = _mm512_and_si512(scales.factor[h], _mm512_set1_epi32(0xffff));
      const __m512i up = h == 0 ? _mm512_slli_epi32(scales.mins, 16) : scales.mins;
      out.scale[h] = _mm512_mul_ps(scales.scale, _mm512_cvtepi32_ps(factor));
      out.offset[h] = _mm512_mul_ps(scales.minimum, _mm512_cvtepi32_ps(_mm512_srai_epi32(up, 16)));
    } else if constexpr (kTraits.own_min) {
      out.offset[h] = scales.minimum;
    } else {
      if constexpr (HasTwoSums(Format)) out.scale[h] = _mm512_mul_ps(scales.scale, scales.group[h]);
      constexpr float kOffset = static_cast<float>(kTraits.offset << CodeShift(Format));
      out.offset[h] = _mm512_mul_ps(out.scale[h], _mm512_set1_ps(-kOffset));
    }
    if constexpr (FitsMantissa(Format)) {
      out.offset[h] = _mm512_fmadd_ps(out.scale[h], _mm512_set1_ps(-128.0f), out.offset[h]);
      out.scale[h] = _mm512_mul_ps(out.scale[h], _mm512_set1_ps(64.0f));
    }
  }
  return out;
}

// Byte C of each 32-bit lane.
template <int C>
inline __attribute__((always_inline)) __m512i ByteOf(__m512i v) {
  if constexpr (C == 3) return _mm512_srli_epi32(v, 24);
  if constexpr (C != 0) v = _mm512_srli_epi32(v, 8 * C);
  return _mm512_and_si512(v, _mm512_set1_epi32(0xff));
}

template <int Format, int C>
inline __attribute__((always_inline)) __m512 FloatOf(__m512i code) {
  if constexpr (FitsMantissa(Format)) {
    const __m512i from = _mm512_set4_epi32((12 + C) << 16, (8 + C) << 16, (4 + C) << 16, C << 16);
    return _mm512_castsi512_ps(
        _mm512_mask_shuffle_epi8(_mm512_set1_epi32(0x40000000), 0x4444444444444444ull, code, from));
  }
  return _mm512_cvtepi32_ps(ByteOf<C>(code));
}

// Columns C and C + 1 of a code vector in turn, as bf16; halfway between two, away from zero.
template <int Format, int C>
inline __attribute__((always_inline)) __m512i PairOf(__m512i code, __m512 scale, __m512 offset) {
  const __m512i half = _mm512_set1_epi32(0x8000);
  const __m512 first = _mm512_fmadd_ps(FloatOf<Format, C>(code), scale, offset);
  const __m512 second = _mm512_fmadd_ps(FloatOf<Format, C + 1>(code), scale, offset);
  const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(_mm512_castps_si512(first), half), 16);
  return _mm512_mask_blend_epi16(0x55555555u, _mm512_add_epi32(_mm512_castps_si512(second), half), rounded);
}

template <int Format, int V>
inline __attribute__((always_inline)) void UnpackCodes(const unsigned char* codes, const HalfScales& scales,
                                                       unsigned char* out) {
  const __m512i code = CodeVector<Format, V>(codes);
  const __m512 scale = scales.scale[V / 4];
  const __m512 offset = scales.offset[V / 4];
  _mm512_store_si512(out + 128 * V, PairOf<Format, 0>(code, scale, offset));
  _mm512_store_si512(out + 128 * V + 64, PairOf<Format, 2>(code, scale, offset));
  if constexpr (V < 7) UnpackCodes<Format, V + 1>(codes, scales, out);
}

// Blocks [first, first + count) of a strip; first is a multiple of every format's super-block.
template <int Format>
void Unpack(const unsigned char* strip, int32_t first, int32_t count, Tile* out) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  const unsigned char* super =
      strip + static_cast<int64_t>(first / kTraits.super) * SuperBytes(kTraits) * kStripRows;
  for (int32_t b = 0; b < count; b += kTraits.super, super += SuperBytes(kTraits) * kStripRows) {
    const FloatScales floats = FloatScalesOf<Format>(super);
    const unsigned char* small = super + FloatScaleBytes(kTraits) * kStripRows;
    const unsigned char* codes = super + CodesAt(kTraits) * kStripRows;
    for (int i = 0; i < kTraits.super; ++i) {
      Prefetch<CodeBytes(kTraits) * kStripRows>(codes);
      const HalfScales scales = HalfScalesOf<Format>(ScalesOf<Format>(floats, small));
      UnpackCodes<Format, 0>(codes, scales, out[b + i]);
      small += SmallScaleBytes(kTraits) * kStripRows;
      codes += CodeBytes(kTraits) * kStripRows;
    }
  }
}

// Where the sums of 16 rows of activations and one strip begin and end: in y itself, or beside it where y has fewer.
struct Sums {
  float* y;
  int64_t stride;
  int32_t rows;
  int32_t valid;  // rows of the strip
  alignas(64) float beside[16 * kStripRows];

  bool whole() const { return rows == 16 && valid == kStripRows; }
  float* data() { return whole() ? y : beside; }
  int64_t stride_bytes() const { return whole() ? stride * 4 : static_cast<int64_t>(kVectorBytes); }
  void Fetch() {
    if (whole()) return;
    for (int32_t t = 0; t < 16; ++t)
      _mm512_store_ps(beside + 16 * t,
                      t < rows ? _mm512_maskz_loadu_ps(mask(), y + t * stride) : _mm512_setzero_ps());
  }
  void Deliver() const {
    if (whole()) return;
    for (int32_t t = 0; t < rows; ++t)
      _mm512_mask_storeu_ps(y + t * stride, mask(), _mm512_load_ps(beside + 16 * t));
  }
  __mmask16 mask() const { return static_cast<__mmask16>(valid < kStripRows ? (1u << valid) - 1 : 0xffffu); }
};

// R row tiles, one after another `row_bytes` apart, times S strips, added to sums[r][s]. The strips serve all rows and should
// stay in the first-level cache, so the activations, which are too many for it, are loaded past it.
template <int R, int S>
void MultiplyTiles(const unsigned char* activations, int64_t row_bytes, const Tile* strips, int32_t blocks,
                   bool starts, Sums (&sums)[2][2]) {
  if (starts) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    for (int r = 0; r < R; ++r)
      for (int s = 0; s < S; ++s) sums[r][s].Fetch();
    _tile_loadd(0, sums[0][0].data(), sums[0][0].stride_bytes());
    if constexpr (S == 2) _tile_loadd(1, sums[0][1].data(), sums[0][1].stride_bytes());
    if constexpr (R == 2) _tile_loadd(2, sums[1][0].data(), sums[1][0].stride_bytes());
    if constexpr (R == 2 && S == 2) _tile_loadd(3, sums[1][1].data(), sums[1][1].stride_bytes());
  }
  for (int32_t b = 0; b < blocks; ++b) {
    const unsigned char* a = activations + b * kTileBytes;
    _tile_stream_loadd(4, a, 64);
    _tile_loadd(6, strips[b], 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (S == 2) {
      _tile_loadd(7, strips[blocks + b], 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (R == 2) {
      _tile_stream_loadd(5, a + row_bytes, 64);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (S == 2) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, sums[0][0].data(), sums[0][0].stride_bytes());
  if constexpr (S == 2) _tile_stored(1, sums[0][1].data(), sums[0][1].stride_bytes());
  if constexpr (R == 2) _tile_stored(2, sums[1][0].data(), sums[1][0].stride_bytes());
  if constexpr (R == 2 && S == 2) _tile_stored(3, sums[1][1].data(), sums[1][1].stride_bytes());
  for (int r = 0; r < R; ++r)
    for (int s = 0; s < S; ++s) sums[r][s].Deliver();
}

template <int Format>
void StripRange(const IsaMatMul& args) {
  const int32_t blocks = args.in / 32;
  const int64_t row_bytes = static_cast<int64_t>(blocks) * kTileBytes;
  const TileConfig config;
  _tile_loadconfig(&config);
  alignas(64) Tile strips[2 * kMostBlocks];
  // Chunks outside, strips inside: a chunk's activations stay in the second-level cache for all strips.
  const int32_t most = blocks <= kMostBlocks ? blocks : static_cast<int32_t>(kChunkBlocks);
  for (int32_t first = 0; first < blocks; first += most) {
    const int32_t count = blocks - first < most ? blocks - first : most;
    const bool starts = first == 0 && args.accumulate == 0;
    for (int32_t s = args.first_strip; s < args.last_strip; s += 2) {
      const int num_strips = args.last_strip - s < 2 ? 1 : 2;
      for (int j = 0; j < num_strips; ++j)
        Unpack<Format>(args.strips + (s + j) * args.strip_bytes, first, count, strips + j * count);
      for (int32_t row = 0; row < args.rows; row += 32) {
        Sums sums[2][2];
        for (int r = 0; r < 2; ++r)
          for (int j = 0; j < 2; ++j) {
            const int32_t left = args.rows - row - 16 * r;
            sums[r][j].y = args.y + (row + 16 * r) * args.y_stride +
                           static_cast<int64_t>(s + j - args.first_strip) * kStripRows;
            sums[r][j].stride = args.y_stride;
            sums[r][j].rows = left < 16 ? left : 16;
            sums[r][j].valid = args.out - (s + j) * kStripRows;
            if (sums[r][j].valid > kStripRows) sums[r][j].valid = kStripRows;
          }
        const unsigned char* activations =
            args.activations + row / 16 * row_bytes + static_cast<int64_t>(first) * kTileBytes;
        const bool two_rows = args.rows - row > 16;
        if (two_rows && num_strips == 2)
          MultiplyTiles<2, 2>(activations, row_bytes, strips, count, starts, sums);
        else if (two_rows)
          MultiplyTiles<2, 1>(activations, row_bytes, strips, count, starts, sums);
        else if (num_strips == 2)
          MultiplyTiles<1, 2>(activations, row_bytes, strips, count, starts, sums);
        else
          MultiplyTiles<1, 1>(activations, row_bytes, strips, count, starts, sums);
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

void ToTile(const float* x, int64_t stride, int32_t rows, int32_t first_column, int32_t n,
            unsigned char* tile, int32_t /*columns*/, int32_t t, const float* /*thresholds*/) {
  tile += first_column / 32 * kTileBytes;
  for (int32_t i = 0; i < rows; ++i, x += stride)
    for (int32_t k = 0; k < n; k += 32)
      _mm512_store_si512(tile + k / 32 * kTileBytes + (t + i) * 64, Bf16Of(Load(x + k), Load(x + k + 16)));
}

void SiluToTiles(const float* gate, const float* up, int64_t stride, int32_t rows, int32_t first_column,
                 unsigned char* tiles, int32_t columns, const float* /*thresholds*/) {
  const int64_t tile_bytes = columns / 32 * static_cast<int64_t>(kTileBytes);
  tiles += first_column / 32 * kTileBytes;
  for (int32_t r = 0; r < rows; ++r, gate += stride, up += stride) {
    const Lanes first = SiluMultiply(Load(gate), Load(up));
    const Lanes second = SiluMultiply(Load(gate + 16), Load(up + 16));
    _mm512_store_si512(tiles + r / 16 * tile_bytes + r % 16 * 64, Bf16Of(first, second));
  }
}

int64_t Probe(int64_t rounds, float* sink) {
  const TileConfig config;
  _tile_loadconfig(&config);
  alignas(64) uint16_t ones[kTileBytes / 2];
  for (uint16_t& one : ones) one = 0x3f80;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, ones, 64);
  _tile_loadd(5, ones, 64);
  _tile_loadd(6, ones, 64);
  _tile_loadd(7, ones, 64);
  for (int64_t i = 0; i < rounds; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  alignas(64) float sums[16 * kStripRows];
  _tile_stored(0, sums, kVectorBytes);
  *sink = sums[0];
  _tile_release();
  return rounds * 4 * 16 * kStripRows * 32;
}

// out[0..32)[0..32) = two tiles of a times two of b, over `depth` tiles each; out_stride in floats.
static inline void MultiplyFour(const unsigned char* a, int64_t next_a, const unsigned char* b,
                                int64_t next_b, int64_t step_b, int32_t depth, float* out,
                                int64_t out_stride) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int32_t k = 0; k < depth; ++k, a += kTileBytes, b += step_b) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + next_b, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + next_a, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, out, out_stride * 4);
  _tile_stored(1, out + 16, out_stride * 4);
  _tile_stored(2, out + 16 * out_stride, out_stride * 4);
  _tile_stored(3, out + 16 * out_stride + 16, out_stride * 4);
}

void Attention(const IsaAttention* args) {
  const TileConfig config;
  _tile_loadconfig(&config);
  AttendPrompt(*args);
  _tile_release();
}

}  // namespace

extern const PromptKernels kAmxPrompts;
const PromptKernels kAmxPrompts = {16, kTileBytes, MatMul, ToTile, SiluToTiles, Probe};
extern const AttentionKernel kAmxPromptAttention;
const AttentionKernel kAmxPromptAttention = Attention;

}  // namespace weir
