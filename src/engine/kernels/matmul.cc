#include "engine/kernels/matmul.h"

#include "base/check.h"

namespace weir {
namespace {

bool IsWide(const KernelTable& kernels, int32_t rows) {
  return kernels.matmul_wide != nullptr && rows >= kernels.wide_rows;
}

}  // namespace

void QuantizeRow(const KernelTable& kernels, const float* x, int32_t row, int32_t first_column, int32_t count,
                 const Activations& into, float threshold) {
  const int32_t most_rows = IsWide(kernels, into.rows) ? kWideTileRows : kMaxTileRows;
  const int32_t num_tiles = (into.rows + most_rows - 1) / most_rows;
  const int32_t small = into.rows / num_tiles;
  const int32_t in_large = into.rows % num_tiles * (small + 1);
  const int32_t tile_rows = row < in_large ? small + 1 : small;
  const int32_t t = row < in_large ? row % tile_rows : (row - in_large) % tile_rows;
  const int64_t offset = ActivationTileBytes(row - t, into.columns) +
                         int64_t{first_column} / 32 * tile_rows * kActivationBlockBytes;
  kernels.quantize(x, count, into.tiles + offset, tile_rows, t,
                   into.residual_tiles == nullptr ? nullptr : into.residual_tiles + offset, threshold);
}

void MultiplyStrips(const KernelTable& kernels, const PackedMatrix& matrix, const Activations& input,
                    int32_t first_strip, int32_t last_strip, float* y, int64_t y_stride, bool accumulate,
                    unsigned char* strip_buffer) {
  if (matrix.data == nullptr) {
    DCHECK(strip_buffer != nullptr);
    PackedMatrix one = matrix;
    one.data = strip_buffer;
    for (int32_t strip = first_strip; strip < last_strip; ++strip) {
      PackFromFile(kernels, matrix, strip, strip_buffer);
      one.out = matrix.out - strip * matrix.strip_rows;
      MultiplyStrips(kernels, one, input, 0, 1, y + int64_t{strip - first_strip} * matrix.strip_rows,
                     y_stride, accumulate);
    }
    return;
  }
  IsaMatMul args;
  args.format = matrix.format;
  args.in = matrix.in;
  args.out = matrix.out;
  args.rows = input.rows;
  args.strips = matrix.data;
  args.strip_bytes = matrix.strip_bytes;
  args.activations = input.tiles;
  args.residual = input.residual_tiles;
  args.x = input.x;
  args.x_stride = input.columns;
  args.first_strip = first_strip;
  args.last_strip = last_strip;
  args.accumulate = accumulate ? 1 : 0;
  args.y = y;
  args.y_stride = y_stride;
  if (matrix.quantized() && IsWide(kernels, input.rows)) return kernels.matmul_wide(&args);
  kernels.matmul(&args);
}

}  // namespace weir
