// Which causes lie between the engine's throughput and that of the API, with what each answer depends on.
//
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Gap attribution"
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "perf/report/report.h"
#include "perf/statistics/validity.h"

namespace weir {

// {before, after}: the failing server and the repaired one, the latter in turns with the engine where that was measured:
// its gap is smaller than what the speed of a shared host changes by between two steps.
// V-16 and V-21 go to `validity`. A side that was not measured is null.
Json AttributeBoth(const ReportInput& input, Validity* validity);

// A cause's name, which the JSON has as the ledger spells it, for people.
std::string CauseInWords(std::string_view cause);

}  // namespace weir
