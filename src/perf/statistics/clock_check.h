// V-15: do the server's stamps lie inside the client's, so that both read one clock?
//
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Gap attribution"
#pragma once

#include <span>

#include "perf/recorder/request_record.h"
#include "perf/statistics/validity.h"

namespace weir {

// Looks at `server.clock` of the records: {same_boot, started_ms, first_token_ms, last_token_ms, closed_ms}, in the run's
// time. Adds nothing when no record has one.
void CheckClock(std::span<const RequestRecord> records, Validity* validity);

}  // namespace weir
