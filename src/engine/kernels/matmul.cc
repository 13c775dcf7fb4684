#include "engine/kernels/matmul.h"

namespace weir {

void QuantizeRow(const KernelTable& kernels, const float* x, int32_t row, int32_t first_column, int32_t count,
                 const Activations& into) {
  const int32_t num_tiles = (into.rows + kMaxTileRows - 1) / kMaxTileRows;
  const int32_t small = into.rows / num_tiles;
  const int32_t in_large = into.rows % num_tiles * (small + 1);
  const int32_t tile_rows = row < in_large ? small + 1 : small;
  const int32_t t = row < in_large ? row % tile_rows : (row - in_large) % tile_rows;
  unsigned char* tile = into.tiles + ActivationTileBytes(row - t, into.columns) +
                        int64_t{first_column} / 32 * tile_rows * kActivationBlockBytes;
  kernels.quantize(x, count, tile, tile_rows, t);
}

void MultiplyStrips(const KernelTable& kernels, const PackedMatrix& matrix, const Activations& input,
                    int32_t first_strip, int32_t last_strip, float* y, int64_t y_stride, bool accumulate) {
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
  kernels.matmul(&args);
}

}  // namespace weir
