// `weir load`: measures an OpenAI-compatible server under load.
#pragma once

#include <string>
#include <vector>

namespace weir {

int RunLoad(const std::vector<std::string>& arguments);

}  // namespace weir
