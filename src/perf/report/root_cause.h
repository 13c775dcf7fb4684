// What is wrong with a server under load: the parts of its requests' time that no healthy run has, each with its name.
//
// Units     ms
// Requires  documents that were read as load tests
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Root causes"
//
// Needs no benchmark to compare with: a request that is neither waiting nor passed around is being computed, and that is
// what it came for. So every other part of its time is a loss, and a loss that is large has a cause.
#pragma once

#include "base/json.h"
#include "perf/report/report.h"

namespace weir {

// Names of causes, as report.json has them.
inline constexpr const char* kBatchingOff = "batching off";
inline constexpr const char* kQueueUnbounded = "queue unbounded";
inline constexpr const char* kFewPlaces = "too few places";
inline constexpr const char* kShortTimeout = "short timeout";
inline constexpr const char* kSlowTokenizer = "slow tokenizer";
inline constexpr const char* kSlowClient = "slow client";

// {file, step, known, why_unknown, causes: [{cause, share_ratio, text, evidence[]}]}: largest first, empty when nothing is
// wrong. Not known: failures that the records do not place.
Json NameRootCauses(const LadderStep& step);

}  // namespace weir
