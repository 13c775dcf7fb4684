// weir doctor [MODEL] [--quick] [--json]: is this machine ready to serve and to measure, and what would help.
//
// Errors    exit 1 when something must be changed before weir can work here, 2 for flags
// Threads   the probe's, for about a second, unless --quick
#pragma once

#include <string>
#include <vector>

namespace weir {

int RunDoctor(const std::vector<std::string>& arguments);

}  // namespace weir
