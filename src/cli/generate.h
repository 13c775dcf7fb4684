// `weir generate`: the manual page and the shells' completions.
#pragma once

#include <string>
#include <vector>

namespace weir {

int RunGenerate(const std::vector<std::string>& arguments);

}  // namespace weir
