// The whole study on one machine: direct benchmark, the ladder of servers from broken to repaired, the report.
//
// Errors    as RunBenchmark, RunLoadTest, ServerProcess and the report's files. What was measured before an error or an
//           interruption stays in the folder
// Threads   blocks the caller
// Source    docs/MEASUREMENT.md, "Before and after"
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/kvcache/kv_storage.h"

namespace weir {

struct StudySpec {
  std::string model_path;
  std::string folder = "study";
  KvDtype kv_dtype = KvDtype::kF16;
  int max_tokens = 100;     // output tokens of every request
  bool quick = false;       // the smallest sample that still shows it
  bool try_advice = false;  // follow what the report recommends, and measure again
  std::vector<std::string> command;
  const std::atomic<bool>* stop = nullptr;  // never null
  std::function<void(std::string_view phase, double fraction, std::string_view what)> on_progress;
};

struct StudyOutcome {
  Json report;  // null when interrupted before anything could be reported
  bool interrupted = false;
  std::vector<std::string> files;
};

Result<StudyOutcome> RunStudy(const StudySpec& spec);

}  // namespace weir
