// The prompts of a direct benchmark: the built-in list, a file's, or random tokens of an exact number.
//
// Errors    Create: as LoadDataset; INVALID_ARGUMENT for a trace, whose times mean nothing here, or for two sources at once
// Threads   as a value
// Source    docs/MEASUREMENT.md, "Direct benchmark"
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "perf/driver/bench_engine.h"
#include "perf/driver/bench_spec.h"
#include "perf/workload/dataset.h"

namespace weir {

class BenchPrompts {
 public:
  static Result<BenchPrompts> Create(const BenchSpec& spec, const BenchEngine& bench);

  // A file's start over when they are used up. Warm-up prompts are none of them.
  Prompt Measured(int64_t index) const;
  Prompt Warmup(int64_t index) const;
  // Of prompt tokens, with a prefix cache.
  double expected_cache_ratio() const { return dataset_ ? dataset_->expected_cache_ratio : 0; }

 private:
  BenchPrompts(const BenchSpec& spec, std::optional<Dataset> dataset)
      : builtin_(spec.seed),
        seed_(spec.seed),
        num_tokens_(spec.prompt_tokens),
        dataset_(std::move(dataset)) {}

  BuiltinPrompts builtin_;
  uint64_t seed_;
  int num_tokens_;  // 0: no random tokens
  std::optional<Dataset> dataset_;
};

}  // namespace weir
