// Cosines and sines of the rotary position embedding, angles computed in double.
//
// Shapes    one row per position: [rope_dims] cosines, each twice, then [rope_dims] sines as (-s, s)
// Owns      the rows of the first positions; later ones are computed into the caller's row
// Threads   immutable after Create
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "engine/tensor/aligned_buffer.h"

namespace weir {

class RopeTable {
 public:
  RopeTable() = default;
  // `factors` divides the frequency of each pair; empty means 1.
  static Result<RopeTable> Create(int dims, double theta, std::span<const float> factors, int max_positions);

  int row_floats() const { return 2 * dims_; }
  // The row of a position; `fallback` holds row_floats() and is filled for positions beyond the table.
  const float* Row(int position, float* fallback) const;

 private:
  void Fill(int position, float* row) const;

  int dims_ = 0;
  int num_positions_ = 0;
  std::vector<double> frequencies_;
  AlignedBuffer rows_;
};

}  // namespace weir
