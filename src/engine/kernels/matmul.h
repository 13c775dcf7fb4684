// Activation rows in the form that a product reads, and the product of a range of strips.
//
// Shapes    ActivationTiles: see isa_abi.h; y [rows, strips * strip_rows] cut at the matrix's last row
// Requires  rows > 0; every row of the tiles was quantized (or x is set, for float formats)
// Owns      nothing; `strip_buffer` is the caller's
// Errors    none
// Threads   pure functions; threads take disjoint strips
//
// A result does not depend on the number of rows: every tile width adds in the same order.
//
// Eight bits are too few for blocks with a huge value, which leaves the other 31 few bits, as before `down` and the lm-head.
// There it is taken out, and multiplied as a float.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/kernels/isa_abi.h"
#include "engine/kernels/packed_matrix.h"

namespace weir {

struct Activations {
  unsigned char* tiles = nullptr;  // for quantized formats
  const float* x = nullptr;        // [rows, columns], for float formats
  int32_t rows = 0;
  int32_t columns = 0;
  int32_t prompt_rows =
      0;  // the first ones: in tiles of their own, before the others; 0 unless the kernels have `prompts`
};

inline int64_t ActivationTileBytes(int64_t rows, int64_t columns) {
  return rows * ((columns + 31) / 32) * kActivationBlockBytes;
}
inline int64_t PromptTileBytes(const KernelTable& kernels, int64_t rows, int64_t columns) {
  if (kernels.prompts == nullptr) return 0;
  const int64_t tile_rows = kernels.prompts->tile_rows;
  return (rows + tile_rows - 1) / tile_rows * ((columns + 31) / 32) * kernels.prompts->block_bytes;
}
// However many of the rows are a prompt's: those that lack in their last tile come on top.
inline int64_t MixedTileBytes(const KernelTable& kernels, int64_t rows, int64_t columns) {
  const int64_t generated = ActivationTileBytes(rows, columns);
  if (kernels.prompts == nullptr) return generated;
  const int64_t tile_rows = kernels.prompts->tile_rows;
  const int64_t row_bytes =
      (kernels.prompts->block_bytes + tile_rows - 1) / tile_rows * ((columns + 31) / 32);
  return std::max(generated, rows * row_bytes) + PromptTileBytes(kernels, 1, columns);
}

// Rows [first, first + count) of them; they begin and end with a tile, or with all rows. Where there are prompt rows, first lies
// within them, and the generated rows come all or not at all; elsewhere more than kMaxTileRows rows are left from first on.
Activations RowsOf(const KernelTable& kernels, const Activations& all, int32_t first, int32_t count);

// Puts columns [first_column, first_column + count) of rows [row, row + num_rows), `stride` floats apart, into their tiles; both
// multiples of 32. `thresholds`: null, or a block's largest value is taken out if it is beyond its row's threshold and well beyond the
// others of the block. thresholds[i] is of row + i, and must come from this row alone.
void QuantizeRows(const KernelTable& kernels, const float* x, int64_t stride, int32_t row, int32_t num_rows,
                  int32_t first_column, int32_t count, const Activations& into,
                  const float* thresholds = nullptr);
// Strips that a thread will probably multiply by after those at hand, so that memory can be asked for them already.
struct NextStrips {
  const PackedMatrix* matrix = nullptr;  // null: not known
  int32_t first = 0;
};

// y[row * y_stride + i] (+)= row i of the strips' rows times activation row. A matrix that was left in its file is packed
// strip by strip into `strip_buffer`, strip_bytes large, and so gives the same bits.
void MultiplyStrips(const KernelTable& kernels, const PackedMatrix& matrix, const Activations& input,
                    int32_t first_strip, int32_t last_strip, float* y, int64_t y_stride, bool accumulate,
                    unsigned char* strip_buffer = nullptr, NextStrips next = {});

}  // namespace weir
