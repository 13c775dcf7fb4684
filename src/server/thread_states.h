// What each thread of this process does, for the log of a server that does not get on.
#pragma once

#include <string>
#include <vector>

namespace weir {

// "weir-engine: R, 12.3 s of CPU": name, state (R runs, S sleeps, D waits for a device) and CPU time.
std::vector<std::string> ThreadStates();

}  // namespace weir
