// V-21: did the direct benchmark and the load test compute the same?
//
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Run validity verdict"
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "perf/recorder/request_record.h"

namespace weir {

struct WorkloadMatch {
  std::vector<std::string> differences;  // model, settings, prompts, outputs; empty: the same
  int shared_prompts = 0;                // measured on both sides
  int compared_outputs = 0;  // of them with known output ids of the same length, both at temperature 0
};

// `load_test` with its records against `benchmark` with its own.
WorkloadMatch MatchWorkloads(const Json& benchmark, const std::vector<RequestRecord>& direct,
                             const Json& load_test, const std::vector<RequestRecord>& api);

}  // namespace weir
