#include "engine/kernels/packed_matrix.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "base/check.h"
#include "engine/tensor/block_codes.h"
#include "engine/tensor/half.h"

namespace weir {
namespace {

// Blank lines keep the order.
#include "engine/kernels/isa_formats.h"

constexpr int kColumns = 32;  // of a block

int64_t ElementBytes(int32_t format) { return format == kPackedF32 ? 4 : 2; }

uint16_t ReadU16(const std::byte* p) {
  uint16_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

bool FiniteHalf(uint16_t bits) { return (bits & 0x7c00u) != 0x7c00u; }

Status NotFinite(std::string_view name, int64_t row, int64_t column, std::string_view what) {
  return DataLoss(fmt::format(
      "tensor {}: row {}, column {}: the {} is not a finite number; the file is damaged, fetch it "
      "again",
      name, row, column, what));
}

// The codes of 32 columns in the order of isa_formats.h, four columns at a time: `out` is where the row's first four go.
void PackCodes(FormatTraits f, const uint8_t* codes, unsigned char flip, int64_t vector_bytes,
               unsigned char* out) {
  uint32_t words[8];
  std::memcpy(words, codes, sizeof words);
  uint32_t packed[8] = {};
  const uint32_t low_mask = f.low_bits == 8 ? 0xffffffffu : f.low_bits == 4 ? 0x0f0f0f0fu : 0x03030303u;
  const uint32_t high_mask = f.high_bits == 2 ? 0x03030303u : 0x01010101u;
  for (int v = 0; v < 8; ++v) {
    packed[LowVectorOf(f, v)] |= (words[v] & low_mask) << LowShiftOf(f, v);
    if (f.high_bits != 0)
      packed[HighVectorOf(f, v)] |= (words[v] >> f.low_bits & high_mask) << HighShiftOf(f, v);
  }
  const uint32_t flips = flip * 0x01010101u;
  for (int i = 0; i < CodeVectors(f); ++i) {
    packed[i] ^= flips;
    std::memcpy(out + i * vector_bytes, &packed[i], 4);
  }
}

void PackSmallScales(FormatTraits f, const BlockCodes& block, int strip_rows, int row,
                     unsigned char* scales) {
  for (int b = 0; b < f.super; ++b, scales += SmallScaleBytes(f) * strip_rows) {
    if (f.groups == 1) {
      scales[row] = static_cast<unsigned char>(block.scales[b]);
      if (f.own_min) scales[strip_rows + row] = static_cast<unsigned char>(block.mins[b]);
      continue;
    }
    for (int g = 0; g < f.groups; ++g) {
      const int min = f.own_min ? block.mins[2 * b + g] << 4 : 0;
      scales[2 * row + g] = static_cast<unsigned char>(block.scales[2 * b + g] | min);
    }
  }
}

Status PackQuantizedRow(const KernelTable& kernels, const std::byte* source, std::string_view name,
                        int64_t row, const PackedMatrix& matrix, unsigned char* strip, int row_in_strip) {
  const DTypeTraits& traits = Traits(matrix.dtype);
  const FormatTraits f = TraitsOf(matrix.format);
  const int strip_rows = matrix.strip_rows;
  // A bias of 128 on a signed byte is its top bit flipped.
  const unsigned char flip = f.low_bits == 8 ? static_cast<unsigned char>(kernels.byte_bias) : 0;
  BlockCodes block;
  for (int64_t column = 0; column < matrix.in; column += traits.block_size) {
    ReadBlock(matrix.dtype, source, &block);
    if (!FiniteHalf(block.scale) || (f.own_min && !FiniteHalf(block.min)))
      return NotFinite(name, row, column, "scale of the block");
    unsigned char* floats = strip + ScalesAt(f) * strip_rows;
    std::memcpy(floats + 2 * row_in_strip, &block.scale, 2);
    if (f.own_min) std::memcpy(floats + 2 * (strip_rows + row_in_strip), &block.min, 2);
    PackSmallScales(f, block, strip_rows, row_in_strip, strip + FloatScaleBytes(f) * strip_rows);
    unsigned char* codes = strip + CodesAt(f) * strip_rows + 4 * row_in_strip;
    for (int b = 0; b < f.super; ++b, codes += CodeBytes(f) * strip_rows)
      PackCodes(f, block.codes + kColumns * b, flip, 4 * strip_rows, codes);
    source += traits.block_bytes;
    strip += SuperBytes(f) * strip_rows;
  }
  return OkStatus();
}

Status PackFloatRow(const std::byte* source, std::string_view name, int64_t row, const PackedMatrix& matrix,
                    unsigned char* strip, int row_in_strip) {
  const int64_t size = ElementBytes(matrix.format);
  for (int64_t k = 0; k < matrix.in; ++k) {
    const std::byte* element = source + k * size;
    bool finite = true;
    if (matrix.format == kPackedF32) {
      float value;
      std::memcpy(&value, element, sizeof value);
      finite = std::isfinite(value);
    } else if (matrix.format == kPackedF16) {
      finite = FiniteHalf(ReadU16(element));
    } else {
      finite = (ReadU16(element) & 0x7f80u) != 0x7f80u;
    }
    if (!finite) return NotFinite(name, row, k, "weight");
    std::memcpy(strip + (k * matrix.strip_rows + row_in_strip) * size, element, static_cast<size_t>(size));
  }
  return OkStatus();
}

int32_t FormatOf(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return kPackedF16;
    case DType::kBF16:
      return kPackedBF16;
    case DType::kF32:
      return kPackedF32;
    case DType::kQ8_0:
      return kPackedByteSymmetric;
    case DType::kQ4_0:
      return kPackedNibbleSymmetric;
    case DType::kQ4_1:
      return kPackedNibbleMin;
    case DType::kQ5_0:
      return kPackedQ5_0;
    case DType::kQ5_1:
      return kPackedQ5_1;
    case DType::kQ2_K:
      return kPackedQ2K;
    case DType::kQ3_K:
      return kPackedQ3K;
    case DType::kQ4_K:
      return kPackedQ4K;
    case DType::kQ5_K:
      return kPackedQ5K;
    case DType::kQ6_K:
      return kPackedQ6K;
    case DType::kIQ4_NL:
      return kPackedIq4Nl;
    case DType::kIQ4_XS:
      return kPackedIq4Xs;
  }
  CHECK(false);  // a DType value only ever comes from FindDType or from our own code
}

}  // namespace

Result<PackedMatrix> LayOutMatrix(const KernelTable& kernels, DType dtype, int64_t in, int64_t out,
                                  std::string_view name) {
  PackedMatrix matrix;
  matrix.dtype = dtype;
  matrix.in = static_cast<int32_t>(in);
  matrix.out = static_cast<int32_t>(out);
  matrix.strip_rows = kernels.strip_rows;
  matrix.format = FormatOf(dtype);
  if (!matrix.quantized()) {
    matrix.strip_bytes = in * matrix.strip_rows * ElementBytes(matrix.format);
    return matrix;
  }
  const DTypeTraits& traits = Traits(dtype);
  if (in % traits.block_size != 0)
    return DataLoss(fmt::format("tensor {}: type {} packs {} columns together, but a row has {}", name,
                                traits.name, traits.block_size, in));
  matrix.strip_bytes = in / traits.block_size * SuperBytes(TraitsOf(matrix.format)) * matrix.strip_rows;
  return matrix;
}

Status PackStrips(const KernelTable& kernels, std::span<const std::byte> source, std::string_view name,
                  int32_t first, int32_t last, const PackedMatrix& matrix) {
  const DTypeTraits& traits = Traits(matrix.dtype);
  const int64_t row_bytes = int64_t{matrix.in} / traits.block_size * traits.block_bytes;
  CHECK(static_cast<int64_t>(source.size()) >= row_bytes * matrix.out);
  for (int32_t s = first; s < last; ++s) {
    unsigned char* strip = matrix.data + s * matrix.strip_bytes;
    for (int r = 0; r < matrix.strip_rows; ++r) {
      const int64_t row = int64_t{s} * matrix.strip_rows + r;
      if (row >= matrix.out) break;  // the buffer is zeroed: padding rows multiply to 0
      const std::byte* from = source.data() + row * row_bytes;
      WEIR_RETURN_IF_ERROR(matrix.quantized() ? PackQuantizedRow(kernels, from, name, row, matrix, strip, r)
                                              : PackFloatRow(from, name, row, matrix, strip, r));
    }
  }
  return OkStatus();
}

void UnpackRow(const KernelTable& kernels, const PackedMatrix& matrix, int32_t row, float* out) {
  const int strip_rows = matrix.strip_rows;
  const int r = row % strip_rows;
  const unsigned char* strip = matrix.data + row / strip_rows * matrix.strip_bytes;
  if (!matrix.quantized()) {
    for (int64_t k = 0; k < matrix.in; ++k) {
      const unsigned char* element = strip + (k * strip_rows + r) * ElementBytes(matrix.format);
      const uint16_t half = ReadU16(reinterpret_cast<const std::byte*>(element));
      if (matrix.format == kPackedF32)
        std::memcpy(out + k, element, sizeof(float));
      else
        out[k] = matrix.format == kPackedF16 ? HalfToFloat(half) : BFloat16ToFloat(half);
    }
    return;
  }
  const FormatTraits f = TraitsOf(matrix.format);
  const unsigned char flip = static_cast<unsigned char>(kernels.byte_bias);
  for (int b = 0; b < matrix.in / kColumns; ++b) {
    const unsigned char* super = strip + b / f.super * SuperBytes(f) * strip_rows;
    const int block = b % f.super;
    const std::byte* floats = reinterpret_cast<const std::byte*>(super + ScalesAt(f) * strip_rows);
    const float scale = HalfToFloat(ReadU16(floats + 2 * r));
    const float min = f.own_min ? HalfToFloat(ReadU16(floats + 2 * (strip_rows + r))) : 0.0f;
    const SmallScales small = SmallScalesAt(f, super, strip_rows, r, block);
    const unsigned char* codes = super + (CodesAt(f) + block * CodeBytes(f)) * strip_rows;
    for (int k = 0; k < kColumns; ++k) {
      int code = CodeAt(f, codes, strip_rows, r, k);
      if (f.table)
        code = kTableValues[code];
      else
        code = f.low_bits == 8 ? static_cast<signed char>(code ^ flip) : code - f.offset;
      float value = static_cast<float>(code) * (scale * static_cast<float>(small.scale[k / 16]));
      if (f.own_min) value -= min * static_cast<float>(small.min[k / 16]);
      out[b * kColumns + k] = value;
    }
  }
}

}  // namespace weir
