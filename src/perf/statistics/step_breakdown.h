// The steps of one row: how long they took by what they computed, and where the time went.
//
// Units     milliseconds
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Step breakdown"
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace weir {

// One engine step, in the clock of its run.
struct StepSample {
  double started_ms = 0, ended_ms = 0;
  int prefill_tokens = 0;
  int decode_rows = 0;
  int num_sequences = 0;
  int num_running = 0;
  int64_t kv_tokens_read = 0;
  double schedule_ms = 0, forward_ms = 0, sample_ms = 0, publish_ms = 0;
  std::vector<double> segments_ms = {};  // one per segment name; empty: not profiled

  double ms() const { return ended_ms - started_ms; }
};

class StepBreakdown {
 public:
  // Names of what `segments_ms` holds; none: nothing is profiled, and the four parts that are always timed stand in.
  explicit StepBreakdown(std::span<const std::string_view> segment_names = {}) : names_(segment_names) {}

  // With names, steps that were not profiled only serve ProfilingCost().
  void Add(const StepSample& step);
  // step{count mean_ms prefill_ms decode_ms mixed_ms segments_ms{}}, and with names kinds{prefill{} decode{} mixed{}},
  // each {count mean_ms prefill_tokens_mean decode_rows_mean context_tokens_mean segments_ms{}} or null.
  Json ToJson() const;
  // How much longer a decode step takes while it is profiled, as a ratio of its time; empty when too few of either were
  // seen. The median of each: the two alternate, so what disturbs the machine hits both.
  std::optional<double> ProfilingCost() const;

 private:
  struct Sums {
    int64_t count = 0, prefill_tokens = 0, decode_rows = 0, sequences = 0, kv_tokens_read = 0;
    double ms = 0;
    std::vector<double> segments_ms;
  };
  static constexpr int kKinds = 3;  // prefill, decode, mixed

  std::span<const std::string_view> SegmentNames() const;
  Json SegmentsJson(const std::vector<double>& sums, int64_t count) const;
  Json KindJson(const Sums& sums) const;

  std::span<const std::string_view> names_;
  Sums kinds_[kKinds];
  std::vector<double> profiled_decode_ms_, plain_decode_ms_;
};

}  // namespace weir
