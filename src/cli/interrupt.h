// Ctrl-C and SIGTERM as a flag: long work sees it, keeps what it has, and ends in order. A second one ends at once.
//
// Threads   the flag may be read from any thread; install once, from main
#pragma once

#include <atomic>

namespace weir {

// Installs the handlers at the first call.
const std::atomic<bool>& InterruptFlag();

}  // namespace weir
