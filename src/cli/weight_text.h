// One line on how the weights came into memory, the same at the start of a server and under a benchmark.
#pragma once

#include <string>

#include "engine/model/model.h"

namespace weir {

std::string DescribeWeights(const WeightFacts& facts);

}  // namespace weir
