// Cosines and sines of the rotary position embedding, angles computed in double.
//
// Shapes    one row per position: [rope_dims] cosines, each twice, then [rope_dims] sines as (-s, s). For pairs that are
//           halves: [rope_dims / 2] cosines in the first half, [rope_dims / 2] sines in the last, each with as much room
// Owns      the rows of the first positions; later ones are computed into the caller's row
// Threads   immutable after Create
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "engine/model/model_config.h"
#include "engine/tensor/aligned_buffer.h"

namespace weir {

class RopeTable {
 public:
  RopeTable() = default;
  // `divisors`: as RopeFrequencies().
  static Result<RopeTable> Create(int dims, const RopeSpec& spec, RopePairs pairs,
                                  std::span<const float> divisors, int max_positions);

  int row_floats() const { return 2 * dims_; }
  // The row of a position; `fallback` holds row_floats() and is filled for positions beyond the table.
  const float* Row(int position, float* fallback) const;

 private:
  void Fill(int position, float* row) const;

  int dims_ = 0;
  int num_positions_ = 0;
  RopePairs pairs_ = RopePairs::kNeighbours;
  double factor_ = 1;  // of cosines and sines
  std::vector<double> frequencies_;
  AlignedBuffer rows_;
};

}  // namespace weir
