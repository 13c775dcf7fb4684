// weir inspect MODEL [--json] [--tensors]: what is in a model file, and how much memory serving it takes.
//
// Errors    exit 2 for flags, 3 for a file that is missing, damaged or contradictory; a sound file that weir cannot
//           serve is described, with the reason, and exits 0
#pragma once

#include <string>
#include <vector>

namespace weir {

int RunInspect(const std::vector<std::string>& arguments);

}  // namespace weir
