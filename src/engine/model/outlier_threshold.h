// When eight bits are too few for a block of activations with a huge value: that is taken out where rounding the block would
// move, as a root mean square, a logit by more than kLogitError; the residual stream by kStreamError, as a share of the
// stream's own size; or what a normed row is multiplied to by kOutputError, as a share of its size.
#pragma once

#include <cmath>
#include <span>

#include "engine/kernels/packed_matrix.h"

namespace weir {

inline constexpr float kLogitError = 0.004f;
inline constexpr float kStreamError = 0.001f;
inline constexpr float kOutputError = 0.002f;

// Of a sum over a block, for a largest value of 1: 32 values, each off by largest / 127 / sqrt(12).
inline constexpr float kBlockRounding = 0.0128583f;  // sqrt(32 / 12) / 127

// The largest value of a block whose rounding moves an output of `matrix` by no more than `error`.
inline float LargestFor(const PackedMatrix& matrix, float error) {
  return matrix.rms > 0 ? error / (kBlockRounding * matrix.rms) : 0.0f;
}

// The same of rows that were normed with these weights, for any matrix: its outputs are as large as the root of the rows' sum of
// squares, which is that of the weights.
inline float LargestOfNormed(std::span<const float> norm) {
  float sum = 0;
  for (const float weight : norm) sum += weight * weight;
  return kOutputError * std::sqrt(sum) / kBlockRounding;
}

}  // namespace weir
