// What `weir load` does to a server, and the call that does it.
//
// Errors    RunLoadTest: UNAVAILABLE when the server cannot be reached before the first request; INVALID_ARGUMENT for a
//           spec that contradicts itself. Failed requests are results, not errors. An interrupted run is a result, with
//           "interrupted": true and what was measured
// Threads   blocks the caller; requests run on an io thread of their own; `progress` runs on the caller's thread
// Source    docs/MEASUREMENT.md, "Load test"
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "perf/driver/load_stage.h"
#include "perf/driver/progress.h"
#include "perf/recorder/request_record.h"
#include "perf/statistics/distribution.h"
#include "perf/statistics/slo.h"
#include "perf/workload/arrivals.h"
#include "perf/workload/dataset.h"

namespace weir {

enum class OnShed { kDefault, kWait, kNext };  // default: wait in a closed loop, next in an open one

using SloSpec = Slo;

// Search for the highest load that keeps the bounds.
struct LoadSearch {
  bool by_rate = false;  // else by concurrency
  double share = 0.95;   // of all requests that must keep them (GOOD-2)
  double probe_s = 30;   // a probe lasts at least so long, at least so many requests, and 10 median latencies
  int probe_requests = 100;
  int confirmations = 3;
};

struct LoadSpec {
  std::string url = "http://localhost:8000";
  std::string model;  // empty: the first one listed
  int requests = 50;
  double duration_s = 0;  // 0: no limit
  int concurrency = 5;
  double ramp_up_s = 0;
  double timeout_s = 60;
  bool send_deadline = true;  // x-request-timeout-ms
  int max_tokens = 100;
  bool ignore_eos = true;
  bool stream = true;
  double temperature = 0;
  uint64_t seed = 1;
  std::optional<double> request_rate;  // set: open loop
  ArrivalProcess arrival = ArrivalProcess::kPoisson;
  double burstiness = 1.0;
  int max_in_flight = 0;  // open loop; 0: no limit
  OnShed on_shed = OnShed::kDefault;
  int retries = 0;  // further attempts at a request that was shed or never connected
  int warmup = 5;
  SloSpec slo;
  PercentileMethod percentile = PercentileMethod::kNearestRank;
  double chunk_delay_ms = 0;  // a planted fault: the client takes so much longer over every chunk
  std::string control_url;    // of the server's ledgers; empty: found through /version
  std::string api_key;
  int prompt_offset = 0;  // first prompt of the built-in list to use, so that runs do not repeat prompts
  DatasetSpec dataset;
  std::vector<LoadStage> stages;  // not empty: these, instead of the one that the flags above describe
  bool rate_sweep = false;        // stages follow from the measured capacity
  std::optional<LoadSearch> search;

  std::string records_path;                 // one JSON object a line, flushed as they come; empty: none
  std::vector<std::string> command;         // stored in the file
  const std::atomic<bool>* stop = nullptr;  // set: cancel what runs, finish with what was measured
};

// The content of load_test_results.json. Records, joined with the server's ledgers, go to `records_path`.
Result<Json> RunLoadTest(const LoadSpec& spec, const ProgressFunction& progress);

}  // namespace weir
