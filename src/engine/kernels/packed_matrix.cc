#include "engine/kernels/packed_matrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "engine/kernels/strip_transpose.h"
#include "engine/tensor/block_codes.h"
#include "engine/tensor/dequantize.h"
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

int64_t RowBytes(const PackedMatrix& matrix) {
  const DTypeTraits& traits = Traits(matrix.dtype);
  return int64_t{matrix.in} / traits.block_size * traits.block_bytes;
}

bool FiniteHalf(uint16_t bits) { return (bits & 0x7c00u) != 0x7c00u; }

Status NotFinite(std::string_view name, int64_t row, int64_t column, std::string_view what) {
  return DataLoss(fmt::format(
      "tensor {}: row {}, column {}: the {} is not a finite number; the file is damaged, fetch it "
      "again",
      name, row, column, what));
}

// The codes of 32 columns in the order of isa_formats.h, four columns of the row at a time.
template <int Format>
void PackCodes(const uint8_t* codes, uint32_t (&packed)[8]) {
  constexpr FormatTraits f = TraitsOf(Format);
  constexpr uint32_t kLowMask = ((1u << f.low_bits) - 1) * 0x01010101u;
  constexpr uint32_t kHighMask = ((1u << f.high_bits) - 1) * 0x01010101u;
  uint32_t words[8];
  std::memcpy(words, codes, sizeof words);
#pragma GCC unroll 8
  for (int v = 0; v < 8; ++v) {
    packed[LowVectorOf(f, v)] |= (words[v] & kLowMask) << LowShiftOf(f, v);
    if (f.high_bits != 0)
      packed[HighVectorOf(f, v)] |= (words[v] >> f.low_bits & kHighMask) << HighShiftOf(f, v);
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

// One row of the file into its place in a strip.
struct RowPlace {
  DType dtype;
  int32_t in;
  int strip_rows;
  int row_in_strip;
  unsigned char* strip;
  uint32_t flips;  // of whole bytes: a bias of 128 is the top bit flipped
};

// The column of the first block whose scale is not finite, or -1.
template <int Format>
int64_t PackQuantizedRow(const std::byte* source, const RowPlace& place) {
  constexpr FormatTraits f = TraitsOf(Format);
  // The file already has these codes in our order.
  constexpr bool kCopied = f.super == 1 && f.high_bits == 0;
  const int block_bytes = static_cast<int>(Traits(place.dtype).block_bytes);
  const int strip_rows = place.strip_rows;
  const int row = place.row_in_strip;
  unsigned char* super = place.strip;
  BlockCodes block;
  for (int64_t column = 0; column < place.in; column += kColumns * f.super) {
    if constexpr (kCopied) {
      block.scale = ReadU16(source);
      if (f.own_min) block.min = ReadU16(source + 2);
    } else {
      ReadBlock(place.dtype, source, &block);
    }
    if (!FiniteHalf(block.scale) || (f.own_min && !FiniteHalf(block.min))) return column;
    unsigned char* floats = super + ScalesAt(f) * strip_rows;
    std::memcpy(floats + 2 * row, &block.scale, 2);
    if (f.own_min) std::memcpy(floats + 2 * (strip_rows + row), &block.min, 2);
    if (f.groups != 0) PackSmallScales(f, block, strip_rows, row, super + FloatScaleBytes(f) * strip_rows);
    unsigned char* codes = super + CodesAt(f) * strip_rows + 4 * row;
    for (int b = 0; b < f.super; ++b, codes += CodeBytes(f) * strip_rows) {
      uint32_t packed[8] = {};
      if constexpr (kCopied)
        std::memcpy(packed, source + (f.own_min ? 4 : 2), CodeBytes(f));
      else
        PackCodes<Format>(block.codes + kColumns * b, packed);
      for (int i = 0; i < CodeVectors(f); ++i) {
        if (f.low_bits == 8) packed[i] ^= place.flips;
        std::memcpy(codes + i * 4 * strip_rows, &packed[i], 4);
      }
    }
    source += block_bytes;
    super += SuperBytes(f) * strip_rows;
  }
  return -1;
}

using PackRowFunction = int64_t (*)(const std::byte* source, const RowPlace& place);

PackRowFunction PackRowOf(int32_t format) {
  switch (format) {
    case kPackedNibbleMin:
      return PackQuantizedRow<kPackedNibbleMin>;
    case kPackedNibbleSymmetric:
      return PackQuantizedRow<kPackedNibbleSymmetric>;
    case kPackedByteSymmetric:
      return PackQuantizedRow<kPackedByteSymmetric>;
    case kPackedQ4K:
      return PackQuantizedRow<kPackedQ4K>;
    case kPackedQ6K:
      return PackQuantizedRow<kPackedQ6K>;
    case kPackedQ5_0:
      return PackQuantizedRow<kPackedQ5_0>;
    case kPackedQ5_1:
      return PackQuantizedRow<kPackedQ5_1>;
    case kPackedQ5K:
      return PackQuantizedRow<kPackedQ5K>;
    case kPackedQ2K:
      return PackQuantizedRow<kPackedQ2K>;
    case kPackedQ3K:
      return PackQuantizedRow<kPackedQ3K>;
    case kPackedIq4Nl:
      return PackQuantizedRow<kPackedIq4Nl>;
    default:
      return PackQuantizedRow<kPackedIq4Xs>;
  }
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

Status PackStrip(const KernelTable& kernels, std::span<const std::byte> rows, std::string_view name,
                 int32_t strip, const PackedMatrix& matrix, unsigned char* out) {
  const int64_t row_bytes = RowBytes(matrix);
  const int64_t first_row = int64_t{strip} * matrix.strip_rows;
  const int64_t num_rows = std::min<int64_t>(matrix.strip_rows, matrix.out - first_row);
  CHECK(static_cast<int64_t>(rows.size()) >= row_bytes * num_rows);
  // Padding rows multiply to 0, and bits are added to what is there.
  const unsigned char flip =
      matrix.format == kPackedByteSymmetric ? static_cast<unsigned char>(kernels.byte_bias) : 0;
  if (num_rows == matrix.strip_rows && TransposeStrip(matrix, flip, rows.data(), out)) return OkStatus();
  std::memset(out, 0, static_cast<size_t>(matrix.strip_bytes));
  RowPlace place{matrix.dtype,
                 matrix.in,
                 matrix.strip_rows,
                 0,
                 out,
                 static_cast<uint32_t>(kernels.byte_bias) * 0x01010101u};
  const PackRowFunction pack_row = matrix.quantized() ? PackRowOf(matrix.format) : nullptr;
  for (int r = 0; r < num_rows; ++r) {
    const std::byte* from = rows.data() + r * row_bytes;
    place.row_in_strip = r;
    if (pack_row == nullptr) {
      WEIR_RETURN_IF_ERROR(PackFloatRow(from, name, first_row + r, matrix, out, r));
      continue;
    }
    const int64_t bad_column = pack_row(from, place);
    if (bad_column >= 0) return NotFinite(name, first_row + r, bad_column, "scale of the block");
  }
  return OkStatus();
}

Status PackStrips(const KernelTable& kernels, std::span<const std::byte> rows, std::string_view name,
                  int32_t first, int32_t last, const PackedMatrix& matrix) {
  const int64_t row_bytes = RowBytes(matrix);
  for (int32_t strip = first; strip < last; ++strip) {
    const int64_t offset = int64_t{strip - first} * matrix.strip_rows * row_bytes;
    CHECK(offset <= static_cast<int64_t>(rows.size()));
    WEIR_RETURN_IF_ERROR(PackStrip(kernels, rows.subspan(static_cast<size_t>(offset)), name, strip, matrix,
                                   matrix.data + strip * matrix.strip_bytes));
  }
  return OkStatus();
}

void PackFromFile(const KernelTable& kernels, const PackedMatrix& matrix, int32_t strip, unsigned char* out) {
  const int64_t first_row = int64_t{strip} * matrix.strip_rows;
  const int64_t num_rows = std::min<int64_t>(matrix.strip_rows, matrix.out - first_row);
  const std::span<const std::byte> rows(matrix.file_rows + first_row * RowBytes(matrix),
                                        static_cast<size_t>(num_rows * RowBytes(matrix)));
  if (!PackStrip(kernels, rows, "", strip, matrix, out).ok())
    std::memset(out, 0, static_cast<size_t>(matrix.strip_bytes));
}

void UnpackRow(const KernelTable& kernels, const PackedMatrix& matrix, int32_t row, float* out) {
  if (matrix.data == nullptr) {
    const std::span<const std::byte> source(matrix.file_rows + row * RowBytes(matrix),
                                            static_cast<size_t>(RowBytes(matrix)));
    Dequantize(matrix.dtype, source, {out, static_cast<size_t>(matrix.in)});
    return;
  }
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
