// The path for any CPU: scalar, with the same chain of fused operations as the fast paths.
#include "engine/kernels/isa_abi.h"

namespace weir {
namespace {

// The order matters: blank lines keep it.
#include "engine/kernels/isa_lanes_generic.h"

#include "engine/kernels/isa_exp.h"

#include "engine/kernels/isa_prefetch.h"

#include "engine/kernels/isa_rows.h"

#include "engine/kernels/isa_outliers.h"

#include "engine/kernels/isa_quantize.h"

#include "engine/kernels/isa_variant_rows.h"

#include "engine/kernels/isa_attention_tiles.h"

#include "engine/kernels/isa_attention.h"

#include "engine/kernels/isa_formats.h"

constexpr int kStripRows = 16;

int Weight(FormatTraits f, const unsigned char* codes, int row, int column) {
  const int code = CodeAt(f, codes, kStripRows, row, column);
  if (f.table) return kTableValues[code];
  return f.low_bits == 8 ? static_cast<signed char>(code) : code - f.offset;
}

// One block of a matrix row, already taken apart, times a tile's codes and the values taken out of it.
void AddTerm(FormatTraits f, const int16_t (&weights)[32], const SmallScales& small, float scale, float min,
             const unsigned char* tile, int tile_rows, float* acc) {
  const float* activation_scales = reinterpret_cast<const float*>(tile + 32 * tile_rows);
  const float* outliers = reinterpret_cast<const float*>(tile + kOutliersAt * tile_rows);
  const int32_t* columns = reinterpret_cast<const int32_t*>(outliers + tile_rows);
  for (int t = 0; t < tile_rows; ++t) {
    const signed char* row = reinterpret_cast<const signed char*>(tile) + 32 * t;
    int32_t sum = 0;
    for (int k = 0; k < 32; ++k) sum += weights[k] * row[k];
    acc[t] = __builtin_fmaf(static_cast<float>(sum), scale * activation_scales[t], acc[t]);
    if (f.own_min && f.groups == 2) {
      int32_t mins = 0;
      for (int k = 0; k < 32; ++k) mins += small.min[k / 16] * row[k];
      acc[t] = __builtin_fmaf(static_cast<float>(mins), min * activation_scales[t], acc[t]);
    } else if (f.own_min) {
      acc[t] = __builtin_fmaf(min, activation_scales[tile_rows + t], acc[t]);
    }
    if (outliers[t] == 0.0f) continue;
    const int32_t column = columns[t];
    const float code = static_cast<float>(weights[column]);
    const float offset = f.groups == 2 ? min * static_cast<float>(small.min[column / 16]) : min;
    acc[t] =
        __builtin_fmaf(outliers[t], f.own_min ? __builtin_fmaf(code, scale, offset) : code * scale, acc[t]);
  }
}

// One matrix row times a tile of activation rows: each block's codes are taken apart once.
void QuantizedTile(const IsaMatMul& args, const unsigned char* super, int row_in_strip, int first_row,
                   int tile_rows, float* y) {
  const FormatTraits f = TraitsOf(args.format);
  const int blocks = args.in / 32;
  const int64_t offset = static_cast<int64_t>(first_row) * blocks * kActivationBlockBytes;
  const unsigned char* tile = args.activations + offset;
  float acc[kMaxTileRows] = {};
  for (int b = 0; b < blocks; ++b) {
    if (b != 0 && b % f.super == 0) super += SuperBytes(f) * kStripRows;
    const uint16_t* floats = reinterpret_cast<const uint16_t*>(super + ScalesAt(f) * kStripRows);
    const SmallScales small = SmallScalesAt(f, super, kStripRows, row_in_strip, b % f.super);
    float scale = HalfBitsToFloat(floats[row_in_strip]);
    float min = f.own_min ? -HalfBitsToFloat(floats[kStripRows + row_in_strip]) : 0.0f;
    // One group: its scale is multiplied in as a float. Two: as integers, before the float.
    if (f.groups < 2) {
      scale *= static_cast<float>(small.scale[0]);
      min *= static_cast<float>(small.min[0]);
    }
    const unsigned char* codes = super + (CodesAt(f) + b % f.super * CodeBytes(f)) * kStripRows;
    int16_t weights[32];
    for (int k = 0; k < 32; ++k)
      weights[k] =
          static_cast<int16_t>(Weight(f, codes, row_in_strip, k) * (f.groups == 2 ? small.scale[k / 16] : 1));
    AddTerm(f, weights, small, scale, min, tile, tile_rows, acc);
    tile += tile_rows * kActivationBlockBytes;
  }
  for (int t = 0; t < tile_rows; ++t) {
    float* out = y + t * args.y_stride;
    *out = args.accumulate ? *out + acc[t] : acc[t];
  }
}

void FloatElement(const IsaMatMul& args, const unsigned char* strip, int row_in_strip, int row, float* y) {
  const float* x = args.x + row * args.x_stride;
  const uint16_t* half = reinterpret_cast<const uint16_t*>(strip);
  const float* full = reinterpret_cast<const float*>(strip);
  float acc = 0.0f;
  for (int k = 0; k < args.in; ++k) {
    const int64_t at = static_cast<int64_t>(k) * kStripRows + row_in_strip;
    const float w = args.format == kPackedF32   ? full[at]
                    : args.format == kPackedF16 ? HalfBitsToFloat(half[at])
                                                : BitsToFloat(static_cast<uint32_t>(half[at]) << 16);
    acc = __builtin_fmaf(w, x[k], acc);
  }
  *y = args.accumulate ? *y + acc : acc;
}

void MatMul(const IsaMatMul* pointer) {
  const IsaMatMul& args = *pointer;
  if (args.rows <= 0) return;
  for (int s = args.first_strip; s < args.last_strip; ++s) {
    const unsigned char* strip = args.strips + s * args.strip_bytes;
    for (int r = 0; r < kStripRows && s * kStripRows + r < args.out; ++r) {
      float* y = args.y + static_cast<int64_t>(s - args.first_strip) * kStripRows + r;
      if (IsFloatFormat(args.format)) {
        for (int row = 0; row < args.rows; ++row) FloatElement(args, strip, r, row, y + row * args.y_stride);
        continue;
      }
      // Tiles of 8 rows, of which the last two share evenly.
      for (int row = 0, left = args.rows; left > 0; left = args.rows - row) {
        const int tile_rows = left > 2 * kMaxTileRows ? int{kMaxTileRows}
                              : left > kMaxTileRows   ? (left + 1) / 2
                                                      : left;
        QuantizedTile(args, strip, r, row, tile_rows, y + row * args.y_stride);
        row += tile_rows;
      }
    }
  }
}

int64_t ProbeInt8(int64_t rounds, int32_t* sink) {
  int32_t sum = 0;
  volatile signed char a = 3;
  volatile signed char b = 5;
  for (int64_t i = 0; i < rounds; ++i) sum += a * b;
  *sink = sum;
  return rounds;
}

int64_t ProbeFp32(int64_t rounds, float* sink) {
  volatile float a = 0.5f;
  float sum = 0.0f;
  for (int64_t i = 0; i < rounds; ++i) sum += a * 0.25f;
  *sink = sum;
  return rounds;
}

uint64_t ProbeRead(const unsigned char* data, int64_t bytes) {
  uint64_t sums[8] = {};
  const uint64_t* words = reinterpret_cast<const uint64_t*>(data);
  for (int64_t i = 0; i + 8 <= bytes / 8; i += 8)
    for (int j = 0; j < 8; ++j) sums[j] += words[i + j];
  uint64_t sum = 0;
  for (uint64_t s : sums) sum += s;
  return sum;
}

}  // namespace

extern const KernelTable kGenericKernels;
const KernelTable kGenericKernels = {
    "generic", kStripRows, 0,       MatMul,  Quantize,     RmsNorm,      SiluMultiply,   Rope,
    Scale,     ExpArray,   Maximum, ToHalf,  QuantizeHead, Attention,    MergeAttention, ProbeInt8,
    ProbeFp32, ProbeRead,  nullptr, nullptr, AddRow,       GeluMultiply, SoftCap,        RopeHalves};

}  // namespace weir
