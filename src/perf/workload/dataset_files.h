// Prompts that others recorded: ShareGPT conversations, JSON lines, traces with times.
//
// Errors    NOT_FOUND; DATA_LOSS naming file and line, or what is missing
// Threads   pure functions
#pragma once

#include "base/result.h"
#include "perf/workload/dataset.h"

namespace weir {

Result<Dataset> ReadShareGpt(const DatasetRequest& request);
Result<Dataset> ReadJsonLines(const DatasetRequest& request);
Result<Dataset> ReadTrace(const DatasetRequest& request);

}  // namespace weir
