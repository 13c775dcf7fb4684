// One repeat of one batch size: prompts in, timelines out.
//
// Source    docs/MEASUREMENT.md, "What batch size means"
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "perf/driver/bench_engine.h"
#include "perf/driver/bench_spec.h"
#include "perf/driver/step_log.h"
#include "perf/statistics/bench_row.h"
#include "perf/workload/prompts.h"

namespace weir {

struct RepeatPlan {
  int batch_size = 1;
  int num_prompts = 15;
  int max_tokens = 100;
  std::string id_prefix;                    // of the request ids
  std::function<Prompt(int64_t)> measured;  // by index from 0
  std::function<Prompt(int64_t)> filler;
};

// INVALID_ARGUMENT when a prompt cannot be encoded; an interrupted repeat holds what had ended.
Result<BenchRun> RunRepeat(const BenchSpec& spec, const RepeatPlan& plan, BenchEngine* bench,
                           StepLog* step_log);

}  // namespace weir
