// What `weir load` shows of its document: outcomes, throughput, latencies, errors.
//
// Threads   one; writes to stdout
#pragma once

#include "base/json.h"

namespace weir {

// `document`: what RunLoadTest returned.
void PrintLoadTables(const Json& document);

}  // namespace weir
