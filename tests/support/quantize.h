// Floats to stored weights, the plain way: for tests, which need weights of every type.
//
// Requires  values.size() is a multiple of the type's block (CHECK)
#pragma once

#include <span>
#include <string>

#include "engine/tensor/dtype.h"

namespace weir {

std::string Quantize(DType dtype, std::span<const float> values);

}  // namespace weir
