// `weir run`: the whole study, from the direct benchmark to the report.
#pragma once

#include <string>
#include <vector>

namespace weir {

int RunStudyCommand(const std::vector<std::string>& arguments);

}  // namespace weir
