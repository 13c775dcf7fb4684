// Floats to blocks of 256 with small scales per group, and to table codes, the plain way: for tests.
//
// Requires  values.size() is a multiple of the type's block; a type out of Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS (CHECK)
#pragma once

#include <span>
#include <string>

#include "engine/tensor/block_codes.h"

namespace weir {

std::string QuantizeByGroups(DType dtype, std::span<const float> values);

// The block of the file that ReadBlock takes apart into `codes`.
std::string WriteBlock(DType dtype, const BlockCodes& codes);

}  // namespace weir
