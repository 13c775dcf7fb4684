// One batch size of the direct benchmark: repeats in, the row of benchmark_results.json and its checks out.
//
// Threads   pure functions
// Source    docs/FORMATS.md, "benchmark_results.json"; docs/MEASUREMENT.md, "Direct benchmark"
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "perf/recorder/request_record.h"
#include "perf/statistics/physical_limit.h"
#include "perf/statistics/prompt_checks.h"
#include "perf/statistics/step_breakdown.h"
#include "perf/statistics/validity.h"
#include "perf/statistics/window.h"

namespace weir {

// One repeat.
struct BenchRun {
  std::string run_id;
  std::vector<RequestRecord> measured;
  std::vector<RequestRecord> fillers;  // keep the batch full, enter no latency
  std::vector<StepSample> steps;
  std::optional<Window> steady;  // WIN-2
  double batch_seconds = 0;      // static batching: sum of the batches' times
  double cpu_s = 0, wall_s = 0;  // of this process
};

struct BenchRowInput {
  int batch_size = 1;
  bool is_static = false;
  bool fill = true;
  int threads = 1;
  std::span<const BenchRun> runs;
  LimitInput limit;
  Json memory;  // memory{} of the row
  ExpectedCache expected_cache{.template_tokens =
                                   0};              // no hit at all, unless the prefix cache is the subject
  std::span<const std::string_view> segment_names;  // of the steps' segments; empty: not profiled
};

Json BenchRow(const BenchRowInput& input);
// V-22, of the step{} of a row.
void AddProfilingCheck(const Json& step, const std::string& prefix, Validity* validity);
void CheckBenchRow(const BenchRowInput& input, const Json& row, Validity* validity);

// THR-OUT-1 and the headline (THR-OUT-2, static THR-OUT-3) of one repeat; empty when nothing was measured.
std::optional<double> WholeOutputTps(const BenchRun& run);
std::optional<double> HeadlineOutputTps(const BenchRun& run, bool is_static);

}  // namespace weir
