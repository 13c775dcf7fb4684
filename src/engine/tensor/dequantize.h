// Turns stored weights into floats, one element at a time: the reference that the kernels are compared with, and
// what embedding rows and norms are read through.
//
// Shapes    `elements` consecutive elements, a whole number of blocks
// Requires  source.size() holds them and out.size() == elements (CHECK; engine/gguf judged the file's sizes)
// Errors    none: every type that FindDType knows is read
// Threads   pure functions
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/tensor/dtype.h"

namespace weir {

void Dequantize(DType dtype, std::span<const std::byte> source, std::span<float> out);
std::vector<float> DequantizeAll(DType dtype, std::span<const std::byte> source, size_t elements);

}  // namespace weir
