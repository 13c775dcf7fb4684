// 256 floats as one Q4_K block.
//
// Requires  256 values
// Threads   pure function
// Source    docs/FORMATS.md, "Quantized blocks"
//
// A group of 32 gets the scale and the min whose codes come closest to it, found among a few by least squares; then all
// scales and mins of the block are rounded to six bits, and the codes chosen anew. A value that is not finite makes a scale
// that is not.
#pragma once

#include "engine/tensor/blocks.h"

namespace weir {

BlockQ4_K ToQ4_K(const float* values);

}  // namespace weir
