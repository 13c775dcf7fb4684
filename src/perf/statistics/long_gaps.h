// Are the longest gaps between tokens those in which prompts of others were computed?
//
// Units     ms
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Rules" (OBS-17)
#pragma once

#include <optional>
#include <span>

#include "perf/recorder/request_record.h"

namespace weir {

struct LongGaps {
  double p50_ms = 0, p99_ms = 0;  // of all gaps between chunks of successful requests
  double mean_ms = 0;             // of the longest hundredth
  double prefill_ratio = 0;       // of the longest hundredth: part that holds others' prefill
  double prefill_token_ms = 0;    // what a prompt token costs a step
};

// A gap holds others' prefill where that fills at least half of what the gap has beyond the median. Empty without gaps, or where
// the server's stamps are missing or read another clock.
std::optional<LongGaps> FindLongGaps(std::span<const RequestRecord> records);

}  // namespace weir
