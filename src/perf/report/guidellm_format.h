// The report of `guidellm run` (its schema 2), out of a load test.
//
// Errors    GuidellmResult: INVALID_ARGUMENT for arrivals that it has no word for
// Threads   pure functions
// Source    docs/FORMATS.md, "Files of other tools"
#pragma once

#include <span>

#include "base/json.h"
#include "base/result.h"
#include "perf/recorder/request_record.h"

namespace weir {

Result<Json> GuidellmResult(const Json& document, std::span<const RequestRecord> records);

}  // namespace weir
