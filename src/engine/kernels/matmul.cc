#include "engine/kernels/matmul.h"

#include "base/check.h"

namespace weir {

void QuantizeRow(const KernelTable& kernels, float* x, int32_t row, int32_t first_column, int32_t count,
                 const Activations& into) {
  const int32_t num_tiles = (into.rows + kMaxTileRows - 1) / kMaxTileRows;
  const int32_t small = into.rows / num_tiles;
  const int32_t in_large = into.rows % num_tiles * (small + 1);
  const int32_t tile_rows = row < in_large ? small + 1 : small;
  const int32_t t = row < in_large ? row % tile_rows : (row - in_large) % tile_rows;
  const int64_t offset = ActivationTileBytes(row - t, into.columns) +
                         int64_t{first_column} / 32 * tile_rows * kActivationBlockBytes;
  const bool two_terms = into.residual_tiles != nullptr;
  kernels.quantize(x, count, into.tiles + offset, tile_rows, t, two_terms ? x : nullptr);
  if (two_terms) kernels.quantize(x, count, into.residual_tiles + offset, tile_rows, t, nullptr);
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
  args.x = input.x;
  args.x_stride = input.columns;
  args.first_strip = first_strip;
  args.last_strip = last_strip;
  args.accumulate = accumulate ? 1 : 0;
  args.y = y;
  args.y_stride = y_stride;
  if (input.residual_tiles == nullptr || !matrix.quantized()) return kernels.matmul(&args);
  for (int32_t strip = first_strip; strip < last_strip; ++strip) {
    args.first_strip = strip;
    args.last_strip = strip + 1;
    args.y = y + int64_t{strip - first_strip} * matrix.strip_rows;
    args.activations = input.tiles;
    args.accumulate = accumulate ? 1 : 0;
    kernels.matmul(&args);
    args.activations = input.residual_tiles;
    args.accumulate = 1;
    kernels.matmul(&args);
  }
}

}  // namespace weir
