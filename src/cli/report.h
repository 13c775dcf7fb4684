// `weir report`: result files in, Markdown, HTML and JSON out.
#pragma once

#include <string>
#include <vector>

namespace weir {

int RunReport(const std::vector<std::string>& arguments);

}  // namespace weir
