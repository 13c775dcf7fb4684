// Floats into the types that weights are loaded as.
//
// Shapes    values: whole rows, so a multiple of the type's block; `out` has their bytes
// Requires  dtype is F32, F16, BF16, Q8_0, Q4_0 or Q4_K (CHECK)
// Threads   pure functions
// Source    docs/FORMATS.md, "Quantized blocks"
//
// A value that is not finite makes a scale that is not, which the packing refuses.
#pragma once

#include <cstddef>
#include <span>

#include "engine/tensor/dtype.h"

namespace weir {

void QuantizeRows(DType dtype, std::span<const float> values, std::span<std::byte> out);

}  // namespace weir
