#include "engine/kernels/strip_transpose.h"

#include <cstring>

#include "engine/kernels/strip_repack.h"
#include "engine/kernels/strip_vectors.h"

namespace weir {
namespace {

// Blocks of 32 columns: `kHeader` bytes of scale and perhaps offset, then `kChunks` times 16 bytes of codes.
template <int kStripRows, int kHeader, int kChunks>
bool TransposeBlocks(const PackedMatrix& matrix, unsigned char flip, const std::byte* rows,
                     unsigned char* out) {
  constexpr int kBlockBytes = kHeader + 16 * kChunks;
  const int64_t blocks = matrix.in / 32;
  const int64_t row_bytes = blocks * kBlockBytes;
  const uint32_t flip4 = flip * 0x01010101u;
  const U32x4 flips = {flip4, flip4, flip4, flip4};
  unsigned not_finite = 0;
  for (int64_t b = 0; b < blocks; ++b) {
    const std::byte* block = rows + b * kBlockBytes;
    PrefetchNextStrip(rows + kStripRows * (row_bytes + b * kBlockBytes), kStripRows * kBlockBytes);
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      for (int r = 0; r < kStripRows; r += 4) {
        U32x4 v[4];
        for (int i = 0; i < 4; ++i)
          v[i] = LoadVector<U32x4>(block + (r + i) * row_bytes + kHeader + 16 * chunk) ^ flips;
        Transpose(v);
        for (int i = 0; i < 4; ++i) StoreVector(out + (4 * i * kStripRows) + 4 * r, v[i]);
      }
      out += 16 * kStripRows;
    }
    for (int part = 0; part < kHeader; part += 2) {
      for (int r = 0; r < kStripRows; ++r) {
        uint16_t half;
        std::memcpy(&half, block + r * row_bytes + part, sizeof half);
        std::memcpy(out + 2 * r, &half, sizeof half);
        // Bit 15 is set when the exponent was all ones.
        not_finite |= (half & 0x7c00u) + 0x0400u;
      }
      out += 2 * kStripRows;
    }
  }
  return (not_finite & 0x8000u) == 0;
}

template <int kHeader, int kChunks>
bool TransposeBlocks(const PackedMatrix& matrix, unsigned char flip, const std::byte* rows,
                     unsigned char* strip) {
  if (matrix.strip_rows == 16) return TransposeBlocks<16, kHeader, kChunks>(matrix, flip, rows, strip);
  if (matrix.strip_rows == 8) return TransposeBlocks<8, kHeader, kChunks>(matrix, flip, rows, strip);
  return false;
}

bool TransposeHalves(const PackedMatrix& matrix, uint16_t exponent, uint16_t lowest_of_it,
                     const std::byte* rows, unsigned char* strip) {
  const int64_t row_bytes = int64_t{matrix.in} * 2;
  if (matrix.in % 8 != 0 || matrix.strip_rows % 8 != 0) return false;
  U16x8 not_finite = {};
  for (int64_t k = 0; k < matrix.in; k += 8) {
    PrefetchNextStrip(rows + matrix.strip_rows * (row_bytes + 2 * k), matrix.strip_rows * 16);
    for (int r = 0; r < matrix.strip_rows; r += 8) {
      U16x8 v[8];
      for (int i = 0; i < 8; ++i) {
        v[i] = LoadVector<U16x8>(rows + (r + i) * row_bytes + 2 * k);
        not_finite |= (v[i] & exponent) + lowest_of_it;
      }
      Transpose(v);
      for (int i = 0; i < 8; ++i) StoreVector(strip + 2 * ((k + i) * matrix.strip_rows + r), v[i]);
    }
  }
  unsigned any = 0;
  for (int i = 0; i < 8; ++i) any |= not_finite[i];
  return (any & 0x8000u) == 0;
}

bool TransposeFloats(const PackedMatrix& matrix, const std::byte* rows, unsigned char* strip) {
  const int64_t row_bytes = int64_t{matrix.in} * 4;
  if (matrix.in % 4 != 0 || matrix.strip_rows % 4 != 0) return false;
  U32x4 not_finite = {};
  for (int64_t k = 0; k < matrix.in; k += 4) {
    PrefetchNextStrip(rows + matrix.strip_rows * (row_bytes + 4 * k), matrix.strip_rows * 16);
    for (int r = 0; r < matrix.strip_rows; r += 4) {
      U32x4 v[4];
      for (int i = 0; i < 4; ++i) {
        v[i] = LoadVector<U32x4>(rows + (r + i) * row_bytes + 4 * k);
        not_finite |= (v[i] & 0x7f800000u) + 0x00800000u;
      }
      Transpose(v);
      for (int i = 0; i < 4; ++i) StoreVector(strip + 4 * ((k + i) * matrix.strip_rows + r), v[i]);
    }
  }
  return ((not_finite[0] | not_finite[1] | not_finite[2] | not_finite[3]) & 0x80000000u) == 0;
}

}  // namespace

bool TransposeStrip(const PackedMatrix& matrix, unsigned char flip, const std::byte* rows,
                    unsigned char* strip) {
  switch (matrix.dtype) {
    case DType::kQ4_0:
      return TransposeBlocks<2, 1>(matrix, flip, rows, strip);
    case DType::kQ4_1:
      return TransposeBlocks<4, 1>(matrix, flip, rows, strip);
    case DType::kQ8_0:
      return TransposeBlocks<2, 2>(matrix, flip, rows, strip);
    case DType::kF16:
      return TransposeHalves(matrix, 0x7c00, 0x0400, rows, strip);
    case DType::kBF16:
      return TransposeHalves(matrix, 0x7f80, 0x0080, rows, strip);
    case DType::kF32:
      return TransposeFloats(matrix, rows, strip);
    default:
      return RepackStrip(matrix, rows, strip);
  }
}

}  // namespace weir
