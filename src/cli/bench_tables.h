// What `weir bench` shows of its document: the machine, a row per batch size or cell, and the step breakdown.
//
// Threads   one; writes to stdout
#pragma once

#include "base/json.h"

namespace weir {

// `document`: what RunBenchmark returned. Values that its verdict voids are shown as "void".
void PrintBenchTables(const Json& document);

}  // namespace weir
