// Matrix mode: prefill and decode timed apart, for every prompt length and batch size.
//
// Source    docs/MEASUREMENT.md, "Matrix mode"
#pragma once

#include <atomic>
#include <vector>

#include "perf/driver/bench_engine.h"
#include "perf/driver/bench_spec.h"
#include "perf/workload/prompts.h"

namespace weir {

// What one repetition took.
struct MatrixSample {
  Duration prefill{};  // from the submission of all prompts until every one has its first token
  Duration decode{};   // of `gen_len` further tokens of every sequence, all of them running
};

// CANCELLED when the stop flag was set meanwhile.
Result<MatrixSample> RunMatrixCell(BenchEngine* bench, int prompt_len, int gen_len, int batch_size, Rng* rng,
                                   const std::vector<TokenId>& ids, const std::atomic<bool>* stop);

// One row of matrix[]: the median sample's times and speeds beside the limits.
Json MatrixRow(int prompt_len, int gen_len, int batch_size, const std::vector<MatrixSample>& samples,
               const LimitInput& limit);

// All cells; fills `matrix` of the document.
Result<Json> RunMatrix(const BenchSpec& spec, BenchEngine* bench, const ProgressFunction& progress);

}  // namespace weir
