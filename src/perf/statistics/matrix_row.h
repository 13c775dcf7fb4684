// One cell of matrix mode: samples in, the row of matrix[] and its checks out.
//
// Units     seconds, tokens per second, bytes and multiply-accumulates per second
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Matrix mode"
#pragma once

#include <span>

#include "base/clock.h"
#include "base/json.h"
#include "perf/statistics/physical_limit.h"
#include "perf/statistics/step_breakdown.h"
#include "perf/statistics/validity.h"

namespace weir {

// What one repetition took.
struct MatrixSample {
  TimePoint started{};
  Duration prefill{};  // from the submission of all prompts until every one has its first token
  Duration decode{};   // of `gen_len` further tokens of every sequence, all of them running
};

struct MatrixCell {
  int prompt_len = 0;
  int gen_len = 0;
  int batch_size = 0;
  std::span<const MatrixSample> samples;     // at least one
  const StepBreakdown* breakdown = nullptr;  // null: not profiled
};

// The median sample's times and speeds, the range of the speeds, what the machine did for them, and its limits.
Json MatrixRow(const MatrixCell& cell, const LimitInput& limit);
void CheckMatrixRow(const Json& row, Validity* validity);

}  // namespace weir
