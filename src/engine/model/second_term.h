// When eight bits are too few for a block of activations with a huge value: it gets a second term where rounding it would
// move, as a root mean square, a logit by more than kLogitError; or the residual stream by kStreamError, as a share of the
// stream's own size.
#pragma once

#include "engine/kernels/packed_matrix.h"

namespace weir {

inline constexpr float kLogitError = 0.004f;
inline constexpr float kStreamError = 0.0005f;

// The largest value of a block whose rounding moves an output of `matrix` by no more than `error`: 32 values, each off by
// largest / 127 / sqrt(12).
inline float LargestFor(const PackedMatrix& matrix, float error) {
  constexpr float kRounding = 0.0128583f;  // sqrt(32 / 12) / 127
  return matrix.rms > 0 ? error / (kRounding * matrix.rms) : 0.0f;
}

}  // namespace weir
