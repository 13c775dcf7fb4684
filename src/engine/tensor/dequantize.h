// Turns stored weights into floats, one element at a time: the reference that the kernels are compared with, and
// what embedding rows and norms are read through.
//
// Shapes    `elements` consecutive elements, a whole number of blocks
// Requires  source.size() holds them and out.size() == elements (CHECK; engine/gguf judged the file's sizes)
// Errors    UNIMPLEMENTED for a type without a reference
// Threads   pure functions
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/tensor/dtype.h"

namespace weir {

// True for F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0.
bool CanDequantize(DType dtype);
Status Dequantize(DType dtype, std::span<const std::byte> source, std::span<float> out);
Result<std::vector<float>> DequantizeAll(DType dtype, std::span<const std::byte> source, size_t elements);

}  // namespace weir
