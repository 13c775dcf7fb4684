// How long requests stood outside a server because the thread that reads them was busy with others' prompts.
//
// Units     ms
// Threads   pure functions
#pragma once

#include <vector>

#include "perf/recorder/request_record.h"

namespace weir {

// One value per record: the part of the time between its send and the server's first stamp in which the server rendered or
// tokenized prompts of others. 0 where the clocks are not the same.
std::vector<double> TokenizerWaits(const std::vector<RequestRecord>& records);

}  // namespace weir
