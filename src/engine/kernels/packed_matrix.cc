#include "engine/kernels/packed_matrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/kernels/strip_transpose.h"
#include "engine/tensor/dequantize.h"
#include "engine/tensor/half.h"

namespace weir {
namespace {

constexpr int kColumns = 32;  // of a block

bool IsNibble(int32_t format) { return format == kPackedNibbleMin || format == kPackedNibbleSymmetric; }
bool HasOwnMin(int32_t format) { return format == kPackedNibbleMin || format == kPackedByteMin; }
int64_t CodeBytes(int32_t format, int strip_rows) {
  return (IsNibble(format) ? 16 : 32) * int64_t{strip_rows};
}
int64_t BlockBytes(int32_t format, int strip_rows) {
  return CodeBytes(format, strip_rows) + (HasOwnMin(format) ? 4 : 2) * int64_t{strip_rows};
}
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

// One block of the file: 16 code bytes as they lie for nibble formats, else 32 codes.
struct FileBlock {
  uint16_t scale = 0;
  uint16_t min = 0;
  unsigned char codes[kColumns] = {};
};

void ReadFifthBits(const std::byte* high, const std::byte* low, int bias, unsigned char* codes) {
  uint32_t bits;
  std::memcpy(&bits, high, sizeof bits);
  for (int j = 0; j < 16; ++j) {
    const int byte = static_cast<int>(low[j]);
    codes[j] = static_cast<unsigned char>(((byte & 15) | ((bits >> j & 1) << 4)) - bias);
    codes[j + 16] = static_cast<unsigned char>(((byte >> 4) | ((bits >> (j + 16) & 1) << 4)) - bias);
  }
}

FileBlock ReadBlock(DType dtype, const std::byte* p) {
  FileBlock block;
  block.scale = ReadU16(p);
  switch (dtype) {
    case DType::kQ4_0:
      std::memcpy(block.codes, p + 2, 16);
      break;
    case DType::kQ4_1:
      block.min = ReadU16(p + 2);
      std::memcpy(block.codes, p + 4, 16);
      break;
    case DType::kQ5_0:
      ReadFifthBits(p + 2, p + 6, 16, block.codes);
      break;
    case DType::kQ5_1:
      block.min = ReadU16(p + 2);
      ReadFifthBits(p + 4, p + 8, 0, block.codes);
      break;
    default:
      std::memcpy(block.codes, p + 2, kColumns);
      break;
  }
  return block;
}

Status NotFinite(std::string_view name, int64_t row, int64_t column, std::string_view what) {
  return DataLoss(fmt::format(
      "tensor {}: row {}, column {}: the {} is not a finite number; the file is damaged, fetch it "
      "again",
      name, row, column, what));
}

Status PackQuantizedRow(const KernelTable& kernels, const std::byte* source, std::string_view name,
                        int64_t row, const PackedMatrix& matrix, unsigned char* strip, int row_in_strip) {
  const DTypeTraits& traits = Traits(matrix.dtype);
  const int strip_rows = matrix.strip_rows;
  const int vectors = IsNibble(matrix.format) ? 4 : 8;
  const unsigned char flip =
      matrix.format == kPackedByteSymmetric ? static_cast<unsigned char>(kernels.byte_bias) : 0;
  for (int b = 0; b < matrix.in / kColumns; ++b) {
    FileBlock block = ReadBlock(matrix.dtype, source + int64_t{b} * traits.block_bytes);
    if (!FiniteHalf(block.scale) || !FiniteHalf(block.min))
      return NotFinite(name, row, int64_t{b} * kColumns, "scale of the block");
    unsigned char* out = strip + b * BlockBytes(matrix.format, strip_rows);
    // A bias of 128 on a signed byte is its top bit flipped.
    for (unsigned char& code : block.codes) code ^= flip;
    for (int v = 0; v < vectors; ++v)
      std::memcpy(out + (v * strip_rows + row_in_strip) * 4, block.codes + 4 * v, 4);
    unsigned char* scales = out + CodeBytes(matrix.format, strip_rows);
    std::memcpy(scales + 2 * row_in_strip, &block.scale, 2);
    if (HasOwnMin(matrix.format)) std::memcpy(scales + 2 * (strip_rows + row_in_strip), &block.min, 2);
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

}  // namespace

Result<PackedMatrix> LayOutMatrix(const KernelTable& kernels, DType dtype, int64_t in, int64_t out,
                                  std::string_view name) {
  PackedMatrix matrix;
  matrix.dtype = dtype;
  matrix.in = static_cast<int32_t>(in);
  matrix.out = static_cast<int32_t>(out);
  matrix.strip_rows = kernels.strip_rows;
  switch (dtype) {
    case DType::kQ4_1:
      matrix.format = kPackedNibbleMin;
      break;
    case DType::kQ4_0:
      matrix.format = kPackedNibbleSymmetric;
      break;
    case DType::kQ8_0:
    case DType::kQ5_0:
      matrix.format = kPackedByteSymmetric;
      break;
    case DType::kQ5_1:
      matrix.format = kPackedByteMin;
      break;
    case DType::kF16:
      matrix.format = kPackedF16;
      break;
    case DType::kBF16:
      matrix.format = kPackedBF16;
      break;
    case DType::kF32:
      matrix.format = kPackedF32;
      break;
    default:
      return Unimplemented(
          fmt::format("tensor {}: type {} has no kernel; use a file with F32, F16, BF16, Q8_0, Q5_1, Q5_0, "
                      "Q4_1 or Q4_0 weights",
                      name, Traits(dtype).name));
  }
  if (matrix.quantized() && in % kColumns != 0)
    return DataLoss(fmt::format("tensor {}: type {} packs {} columns together, but a row has {}", name,
                                Traits(dtype).name, kColumns, in));
  matrix.strip_bytes = matrix.quantized() ? in / kColumns * BlockBytes(matrix.format, matrix.strip_rows)
                                          : in * matrix.strip_rows * ElementBytes(matrix.format);
  return matrix;
}

Status PackStrip(const KernelTable& kernels, std::span<const std::byte> rows, std::string_view name,
                 int32_t strip, const PackedMatrix& matrix, unsigned char* out) {
  const int64_t row_bytes = RowBytes(matrix);
  const int64_t first_row = int64_t{strip} * matrix.strip_rows;
  const int64_t num_rows = std::min<int64_t>(matrix.strip_rows, matrix.out - first_row);
  CHECK(static_cast<int64_t>(rows.size()) >= row_bytes * num_rows);
  if (num_rows < matrix.strip_rows) {
    std::memset(out, 0, static_cast<size_t>(matrix.strip_bytes));  // padding rows multiply to 0
  } else {
    const unsigned char flip =
        matrix.format == kPackedByteSymmetric ? static_cast<unsigned char>(kernels.byte_bias) : 0;
    if (TransposeStrip(matrix, flip, rows.data(), out)) return OkStatus();
  }
  for (int r = 0; r < num_rows; ++r) {
    const std::byte* from = rows.data() + r * row_bytes;
    const int64_t row = first_row + r;
    WEIR_RETURN_IF_ERROR(matrix.quantized() ? PackQuantizedRow(kernels, from, name, row, matrix, out, r)
                                            : PackFloatRow(from, name, row, matrix, out, r));
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
    (void)Dequantize(matrix.dtype, source, {out, static_cast<size_t>(matrix.in)});
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
  const int bias = matrix.format == kPackedNibbleSymmetric ? 8 : 0;
  const unsigned char flip = static_cast<unsigned char>(kernels.byte_bias);
  for (int b = 0; b < matrix.in / kColumns; ++b) {
    const unsigned char* block = strip + b * BlockBytes(matrix.format, strip_rows);
    const std::byte* scales =
        reinterpret_cast<const std::byte*>(block + CodeBytes(matrix.format, strip_rows));
    const float scale = HalfToFloat(ReadU16(scales + 2 * r));
    const float min = HasOwnMin(matrix.format) ? HalfToFloat(ReadU16(scales + 2 * (strip_rows + r))) : 0.0f;
    for (int k = 0; k < kColumns; ++k) {
      int code;
      if (IsNibble(matrix.format)) {
        const int byte = block[(k % 16 / 4 * strip_rows + r) * 4 + k % 4];
        code = (k < 16 ? byte & 15 : byte >> 4) - bias;
      } else {
        const unsigned char byte = block[(k / 4 * strip_rows + r) * 4 + k % 4];
        code = matrix.format == kPackedByteSymmetric ? static_cast<signed char>(byte ^ flip) : byte;
      }
      out[b * kColumns + k] = static_cast<float>(code) * scale + min;
    }
  }
}

}  // namespace weir
