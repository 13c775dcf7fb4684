// Floats to stored weights, the plain way: for tests, which need weights of every type.
//
// Requires  values.size() is a multiple of the type's block; a type out of F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1
// Q8_0 (CHECK)
#pragma once

#include <span>
#include <string>

#include "engine/tensor/dtype.h"

namespace weir {

std::string Quantize(DType dtype, std::span<const float> values);

}  // namespace weir
