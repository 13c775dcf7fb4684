// The steps that an engine takes while the log lives.
//
// Owns      the records; the engine's step observer
// Threads   the one that steps the engine
// Source    docs/MEASUREMENT.md, "Step breakdown"
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"
#include "perf/statistics/step_breakdown.h"

namespace weir {

class StepLog {
 public:
  // With `profile` the engine records segments, but leaves every fourth step after Clear() alone: what recording itself
  // costs is then known from steps that were under way at the same time.
  StepLog(Engine* engine, bool profile);
  ~StepLog();
  StepLog(const StepLog&) = delete;
  StepLog& operator=(const StepLog&) = delete;

  void Clear();
  // The steps since, on the clock that begins at `start`.
  std::vector<StepSample> Samples(TimePoint start) const;
  // Of StepSample::segments_ms; empty without `profile`.
  std::span<const std::string_view> segment_names() const;

 private:
  void Arm();

  Engine& engine_;
  const bool profile_;
  std::vector<StepRecord> steps_;
};

}  // namespace weir
