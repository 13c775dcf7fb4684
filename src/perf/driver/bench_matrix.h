// Matrix mode: prefill and decode timed apart, for every prompt length and batch size.
//
// Threads   one
// Source    docs/MEASUREMENT.md, "Matrix mode"
#pragma once

#include <atomic>
#include <optional>
#include <vector>

#include "perf/driver/bench_engine.h"
#include "perf/driver/bench_spec.h"
#include "perf/driver/step_log.h"
#include "perf/statistics/matrix_row.h"
#include "perf/workload/prompts.h"

namespace weir {

// CANCELLED when the stop flag was set meanwhile.
Result<MatrixSample> RunMatrixCell(BenchEngine* bench, int prompt_len, int gen_len, int batch_size, Rng* rng,
                                   const std::vector<TokenId>& ids, const std::atomic<bool>* stop);

// All cells.
class Matrix {
 public:
  // All three outlive it.
  Matrix(const BenchSpec& spec, BenchEngine* bench, const ProgressFunction& progress);

  // OK also when the stop flag ended it early; what was measured stands.
  Status Run();
  // matrix[] of the document, against the limits that the engine knows by now.
  Json Rows(Validity* validity) const;

 private:
  struct Cell {
    int prompt_len, batch_size;
    std::vector<MatrixSample> samples;
    StepBreakdown breakdown;
  };
  void AddSteps(const MatrixSample& sample, Cell* cell) const;
  double Weight(const Cell& cell) const;

  const BenchSpec& spec_;
  BenchEngine& bench_;
  const ProgressFunction& progress_;
  Rng rng_;
  std::optional<StepLog> steps_;  // only when profiling: without, a step is left alone
  std::vector<Cell> cells_;
};

}  // namespace weir
