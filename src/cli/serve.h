// `weir serve`: an OpenAI-compatible server around one model.
//
// Errors    exit codes: 2 a flag, 3 the model file, 4 the port, 1 when the drain left work undone, 130 on a second signal
#pragma once

#include <string>
#include <vector>

namespace weir {

int RunServe(const std::vector<std::string>& arguments);

}  // namespace weir
