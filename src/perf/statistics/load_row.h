// One stage of a load test: records in, the row of load_test_results.json and its validity checks out.
//
// Threads   pure functions
// Source    docs/FORMATS.md, "load_test_results.json"; docs/MEASUREMENT.md
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "perf/recorder/request_record.h"
#include "perf/statistics/distribution.h"
#include "perf/statistics/prompt_checks.h"
#include "perf/statistics/slo.h"
#include "perf/statistics/validity.h"
#include "perf/statistics/window.h"

namespace weir {

// How well the client itself did.
struct ClientHealth {
  std::optional<double> cpu_ratio;  // of one core, the busiest client thread
  std::vector<double> loop_lag_ms;  // lateness of timers on the io thread
};

struct LoadRowInput {
  std::span<const RequestRecord> records;   // one a request: its last attempt
  std::span<const RequestRecord> attempts;  // all of them; empty: no request had more than one
  int retries = 0;                          // further attempts that were allowed
  int load_stage = 0;
  bool open_loop = false;
  int concurrency = 0;
  int max_in_flight = 0;
  std::optional<double> request_rate_per_s;
  std::string arrival;
  double burstiness = 1;
  double ramp_up_s = 0;
  double timeout_s = 60;
  bool ignore_eos = true;
  Slo slo;
  PercentileMethod percentile = PercentileMethod::kNearestRank;
  int64_t num_sent = 0;
  std::vector<InFlightSample> in_flight;
  ClientHealth client;
  ExpectedCache cache;
  Json server;  // server{} of the row, or null

  std::span<const RequestRecord> all_attempts() const { return attempts.empty() ? records : attempts; }
  // Who waits for a retry waits from the first intended send on.
  bool from_intended() const { return open_loop || retries > 0; }
};

// Without those that a later attempt took the place of.
std::vector<RequestRecord> LastAttempts(std::span<const RequestRecord> records);

Json LoadRow(const LoadRowInput& input);
// Checks that one row allows; `row` is what LoadRow returned.
void CheckLoadRow(const LoadRowInput& input, const Json& row, Validity* validity);

}  // namespace weir
