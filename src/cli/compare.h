// `weir compare A B`: is B worse than A?
#pragma once

#include <string>
#include <vector>

namespace weir {

int RunCompare(const std::vector<std::string>& arguments);

}  // namespace weir
