// For whoever fills blocks with random bits: scales have to stay numbers.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/tensor/dtype.h"

namespace weir {

// Where a block's half-precision scale and min lie.
inline std::vector<size_t> HalvesOf(DType dtype) {
  switch (dtype) {
    case DType::kQ2_K:
      return {80, 82};
    case DType::kQ3_K:
      return {108};
    case DType::kQ6_K:
      return {208};
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    default:
      return {0};
  }
}

}  // namespace weir
