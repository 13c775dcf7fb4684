// From the stages of the server's ledger to the causes that a report names, and what a token costs of each.
//
// Units     ms
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Gap attribution"
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>

#include "base/json.h"
#include "perf/recorder/request_record.h"

namespace weir {

inline constexpr const char* kUnattributed = "unattributed";

// "queue_slot" -> itself, "prefill" -> "own prefill", "tokenize" -> "template and tokenise", ...
std::string CauseOfStage(const std::string& stage);

// What a successful request's residence [intended, done] consists of; the parts sum to it. Empty without a ledger.
std::optional<std::map<std::string, double>> CutResidence(const RequestRecord& record);

// slot{ms_per_token{cause} total_ms_per_token batch_mean} of successful requests with ledgers: what one output token
// costs of the time of the slot it is computed in. `slots_ms`: time that the slots existed for, where some stood empty at
// times ("idle"); 0: they were always full. null when there are none.
Json SlotJson(std::span<const RequestRecord> records, double slots_ms = 0);

// Mean number of sequences that ran together, weighted by steps; empty without ledgers.
std::optional<double> MeanBatch(std::span<const RequestRecord> records);

}  // namespace weir
