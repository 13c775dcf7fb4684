// The before-and-after ladder: which servers are tried, with which timeout, and what arithmetic says will
// happen.
//
// Units     milliseconds, tokens per second
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Before and after"
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace weir {

// What the ladder is laid out from, all measured just before.
struct LadderBasis {
  double alone_ms = 0;        // S: mean latency of a request alone in the sequential server
  double latency_c_ms = 0;    // L(C): p50 latency in the direct run with C in flight
  double latency_8_ms = 0;    // L(8)
  double scaling = 0;         // s = X(best) / X(1)
  double scaling_c = 0;       // X(best) / X(C)
  double requests_per_s = 0;  // direct, at batch 8
  int requests = 50;          // N
  int concurrency = 5;        // C
};

struct LadderPlanStep {
  std::string id;
  std::string title;
  std::vector<std::string> server_flags;
  double timeout_s = 0;
  std::optional<double> predicted_ok;
  std::optional<double> predicted_gap;
  double request_rate = 0;  // open loop when above 0
  int requests = 0;
};

// The client timeout is k x S, so that the experiment scales with the machine. Of 2.6, 3.6, 4.6 the one that leaves most room
// on both sides: the batching server needs L(C), the sequential one C x S. A shared host changes its speed between steps; with
// little room it would be the one that decides.
double ChooseTimeoutFactor(const LadderBasis& basis);

// Steps A to F, or A, D and E when `quick`.
std::vector<LadderPlanStep> PlanLadder(const LadderBasis& basis, bool quick);

}  // namespace weir
