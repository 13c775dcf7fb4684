// The engine under test, with what every part of a benchmark asks of it.
//
// Owns      the engine and the target that steps it
// Threads   one
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/machine.h"
#include "perf/driver/batch_sizes.h"
#include "perf/driver/bench_spec.h"
#include "perf/driver/engine_target.h"
#include "perf/recorder/environment.h"
#include "perf/statistics/physical_limit.h"
#include "perf/workload/prompts.h"

namespace weir {

class BenchEngine {
 public:
  static Result<std::unique_ptr<BenchEngine>> Create(const BenchSpec& spec);

  Engine& engine() { return *engine_; }
  const Engine& engine() const { return *engine_; }
  EngineTarget& target() { return target_; }
  int threads() const;

  // Chat prompt as the server would encode it; without a template, the text alone; for synthetic weights and where the spec
  // asks for a number of tokens, random ids.
  Result<std::vector<int32_t>> Encode(const Prompt& prompt) const;
  // Runs the probe of the machine's limits; keeps the better values for limit().
  MachineLimits Probe();
  LimitInput limit() const;
  // Set where the spec asked for all sizes that fit.
  const std::optional<BatchPlan>& batch_plan() const { return batch_plan_; }
  Environment environment() const;
  Json ModelDocument(const std::string& path) const;
  Json Memory() const;

 private:
  explicit BenchEngine(std::unique_ptr<Engine> engine) : engine_(std::move(engine)), target_(engine_.get()) {}

  std::unique_ptr<Engine> engine_;
  bool synthetic_ = false;
  int prompt_tokens_ = 0;              // of random prompts; 0: prompts are text
  std::vector<int32_t> ordinary_ids_;  // what random prompts consist of
  EngineTarget target_;
  std::optional<BatchPlan> batch_plan_;
  int64_t step_bytes_ = 0;  // what the largest step of the benchmark reads
  int64_t peak_bytes_ = 0;  // resident, without the probes
  MachineLimits best_;
};

}  // namespace weir
