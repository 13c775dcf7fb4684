// `weir runs`: the list of runs that this user has measured.
#pragma once

#include <string>
#include <vector>

namespace weir {

int RunRuns(const std::vector<std::string>& arguments);

}  // namespace weir
