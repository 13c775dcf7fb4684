// V-13: was the machine ours while we measured?
//
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Run validity verdict"
#pragma once

#include <optional>

#include "perf/recorder/machine_activity.h"
#include "perf/statistics/validity.h"

namespace weir {

// machine{elapsed_s stolen_s foreign_cpu_s} of a row; what is not known is null.
Json MachineJson(const MachineActivity& before, const MachineActivity& after,
                 std::optional<double> server_cpu_s);

// `server_cpu_s`: what the server under test used of this machine meanwhile; empty when it runs here and does not say, so
// that nobody can tell its time from a stranger's. Too short a span is not judged: the system counts in hundredths.
void CheckMachine(const MachineActivity& before, const MachineActivity& after,
                  std::optional<double> server_cpu_s, Validity* validity);

}  // namespace weir
