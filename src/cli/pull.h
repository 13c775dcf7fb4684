// `weir pull`: fetches a model file and prints where it lies.
#pragma once

#include <string>
#include <vector>

namespace weir {

int RunPull(const std::vector<std::string>& arguments);

}  // namespace weir
