// `weir bench`: measures the engine in this process.
#pragma once

#include <string>
#include <vector>

namespace weir {

int RunBench(const std::vector<std::string>& arguments);

}  // namespace weir
