// One level of load, and the lists of them that flags ask for.
//
// Errors    INVALID_ARGUMENT with the forms there are
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Stages and sweeps"
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir {

struct LoadStage {
  std::optional<double> request_rate;  // set: open loop
  int concurrency = 5;                 // closed loop
  double duration_s = 0;               // 0: no limit
  int requests = 50;                   // no more than these
  double ramp_up_s = 0;
  // Until duration_s and this many requests, and `latency_multiple` median latencies, are both reached.
  int at_least_requests = 0;
  double latency_multiple = 0;
};

// "rate=2:60s,rate=4:60s,concurrency=8:1m30s" -> stages of that length, whatever their number of requests.
Result<std::vector<LoadStage>> ParseStages(std::string_view text);

// "concurrency=1,2,4" or "rate=0.5,1,2"; `each` is a stage's length and count. "rate=auto" is empty levels: they follow
// from the measured capacity.
struct Sweep {
  bool by_rate = false;
  std::vector<double> levels;  // empty: automatic
};
Result<Sweep> ParseSweep(std::string_view text);
// Ten rates from a tenth to 1.2 times the capacity.
std::vector<double> AutomaticRates(double capacity_per_s);

}  // namespace weir
