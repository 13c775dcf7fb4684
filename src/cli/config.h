// `weir config check FILE`: is this a file that `weir serve --config` accepts? Nothing is started.
#pragma once

#include <string>
#include <vector>

namespace weir {

int RunConfig(const std::vector<std::string>& arguments);

}  // namespace weir
