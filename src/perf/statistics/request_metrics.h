// The formulas of one request: timeline in, milliseconds out.
//
// Units     ms
// Source    docs/MEASUREMENT.md, "Formulas"; a function's comment names its formula
//
// Empty when the timeline lacks what the formula needs: a request without a stream has no TTFT, and none is estimated.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "perf/recorder/request_record.h"

namespace weir {

std::optional<double> TimeToFirstToken(const RequestRecord& record);              // TTFT-1
std::optional<double> TimeToFirstTokenFromIntended(const RequestRecord& record);  // TTFT-2
std::optional<double> TimePerOutputToken(const RequestRecord& record);            // TPOT-1
std::optional<double> TimePerOutputTokenWithFirst(const RequestRecord& record);   // TPOT-2
std::optional<double> LargestGap(const RequestRecord& record);                    // ITL-3
double Latency(const RequestRecord& record);                                      // E2EL-1
double LatencyFromIntended(const RequestRecord& record);                          // E2EL-2
std::optional<double> LatencyToLastToken(const RequestRecord& record);            // E2EL-3
double LatencyWithTimeout(const RequestRecord& record, double timeout_ms);        // E2EL-4
double ClientQueue(const RequestRecord& record);                                  // QUEUE-2
// Sum of the ledger's queue stages; empty without a ledger.
std::optional<double> ServerQueue(const RequestRecord& record);  // QUEUE-1

// Per token: a gap before a chunk of k tokens counts as k gaps of a k-th.
void AppendTokenGaps(const RequestRecord& record, std::vector<double>* gaps);  // ITL-1
// Per chunk.
void AppendChunkGaps(const RequestRecord& record, std::vector<double>* gaps);  // ICL-1

// Applies `formula` to the records of one outcome.
std::vector<double> Collect(std::span<const RequestRecord> records, Outcome outcome,
                            std::optional<double> (*formula)(const RequestRecord&));

}  // namespace weir
