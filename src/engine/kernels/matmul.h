// Activation rows in the form that a product reads, and the product of a range of strips.
//
// Shapes    ActivationTiles: see isa_abi.h; y [rows, strips * strip_rows] cut at the matrix's last row
// Requires  rows > 0; every row of the tiles was quantized (or x is set, for float formats)
// Owns      nothing
// Errors    none
// Threads   pure functions; threads take disjoint strips
//
// A result does not depend on the number of rows: every tile width adds in the same order.
#pragma once

#include <cstdint>

#include "engine/kernels/isa_abi.h"
#include "engine/kernels/packed_matrix.h"

namespace weir {

struct Activations {
  unsigned char* tiles = nullptr;  // for quantized formats
  float* x = nullptr;              // [rows, columns], for float formats
  int32_t rows = 0;
  int32_t columns = 0;
};

inline int64_t ActivationTileBytes(int64_t rows, int64_t columns) {
  return rows * ((columns + 31) / 32) * kActivationBlockBytes;
}

// Quantizes columns [first_column, first_column + count) of one row; both multiples of 32.
void QuantizeRow(const KernelTable& kernels, const float* x, int32_t row, int32_t first_column, int32_t count,
                 const Activations& into);

// y[row * y_stride + i] (+)= row i of the strips' rows times activation row.
void MultiplyStrips(const KernelTable& kernels, const PackedMatrix& matrix, const Activations& input,
                    int32_t first_strip, int32_t last_strip, float* y, int64_t y_stride, bool accumulate);

}  // namespace weir
