// The model that `./run` fetches, for commands that were given none.
#pragma once

#include <string>

#include "base/result.h"

namespace weir {

// `given` when not empty, else the cached default model. NOT_FOUND with the way to get one when there is neither.
Result<std::string> ModelOrDefault(const std::string& given);

}  // namespace weir
