// Random weights of one type as they lie in a file.
//
// Shapes    out: whole blocks of `dtype`
// Requires  CanMakeBlocks(dtype) (CHECK)
// Threads   pure functions of the seed
//
// Weights have mean 0 and a deviation of about 0.02 whatever the type, as trained ones do: a row of 576 to 14336 of them
// turns normed activations into numbers near 1, so that nothing overflows in however many layers. Values of F32 are norms
// and lie around 1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/tensor/dtype.h"

namespace weir {

bool CanMakeBlocks(DType dtype);
void FillRandomBlocks(DType dtype, uint64_t seed, std::span<std::byte> out);

}  // namespace weir
