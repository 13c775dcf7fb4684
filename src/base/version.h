// What this binary is: printed by --version, /version and every result file.
#pragma once

#include <string_view>

namespace weir {

std::string_view Version();
std::string_view Commit();
std::string_view Compiler();
std::string_view BuildType();

}  // namespace weir
