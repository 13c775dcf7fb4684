#include "cli/ladder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace weir {
namespace {

const std::vector<std::string> kBroken = {"--scheduler", "sequential",      "--queue",
                                          "unbounded",   "--on-disconnect", "ignore"};

// The overload lasts so many lengths of a request alone, but seconds at most unless that is too few lengths.
constexpr double kOverload = 30, kLeastOverload = 12, kOverloadSeconds = 9;

// Most requests that may wait so that what is admitted is still served within the timeout.
int QueueBound(const LadderBasis& basis, double timeout_s) {
  const double room_s = timeout_s - basis.latency_8_ms / 1000;
  return std::max(1, static_cast<int>(std::floor(0.9 * room_s * basis.requests_per_s)));
}

}  // namespace

double ChooseTimeoutFactor(const LadderBasis& basis) {
  double best = 2.6;
  double most_room = 0;
  for (const double k : {2.6, 3.6, 4.6}) {
    const double room = std::min(basis.concurrency / k, k * basis.alone_ms / basis.latency_c_ms);
    if (room <= most_room) continue;
    most_room = room;
    best = k;
  }
  return best;
}

std::vector<LadderPlanStep> PlanLadder(const LadderBasis& basis, bool quick) {
  const double k = ChooseTimeoutFactor(basis);
  const double timeout_s = k * basis.alone_ms / 1000;
  const double served = std::floor(k);
  const double n = basis.requests;

  LadderPlanStep a{"A",       "before",      kBroken,
                   timeout_s, served,        basis.scaling * k * n / (basis.concurrency * served),
                   0,         basis.requests};
  LadderPlanStep b{"B", "longer timeout", kBroken, 22 * basis.alone_ms / 1000,
                   n,   basis.scaling,    0,       basis.requests};
  LadderPlanStep c{"C",
                   "cancel on disconnect",
                   {"--scheduler", "sequential", "--queue", "unbounded", "--on-disconnect", "cancel"},
                   timeout_s,
                   std::nullopt,
                   std::nullopt,
                   0,
                   basis.requests};
  LadderPlanStep d{"D",
                   "continuous batching",
                   {"--scheduler", "continuous", "--max-num-seqs", "8", "--queue", "unbounded",
                    "--on-disconnect", "ignore"},
                   timeout_s,
                   n,
                   basis.scaling_c,
                   0,
                   basis.requests};
  const std::vector<std::string> repaired = {"--max-num-seqs", "8", "--max-num-queued-reqs",
                                             fmt::format("{}", QueueBound(basis, timeout_s))};
  LadderPlanStep e{"E", "after", repaired, timeout_s, n, basis.scaling_c, 0, basis.requests};
  if (quick) return {a, d, e};

  // Twice the capacity for thirty times a request's own length, less where that is long: batching alone drowns, a bounded queue
  // sheds and serves.
  const double alone_s = basis.alone_ms / 1000;
  const double overload_s =
      std::max(kLeastOverload * alone_s, std::min(kOverload * alone_s, kOverloadSeconds));
  const double overload_timeout_s = std::max(timeout_s, 2 * basis.latency_8_ms / 1000);
  const double rate = 2 * basis.requests_per_s;
  const int arrivals = std::max(20, static_cast<int>(std::lround(rate * overload_s)));
  LadderPlanStep f_before{"F1",           "overload, batching alone",
                          d.server_flags, overload_timeout_s,
                          std::nullopt,   std::nullopt,
                          rate,           arrivals};
  LadderPlanStep f_after{
      "F2", "overload, bounded queue", {}, overload_timeout_s, std::nullopt, std::nullopt, rate, arrivals};
  f_after.server_flags = {"--max-num-seqs", "8", "--max-num-queued-reqs",
                          fmt::format("{}", QueueBound(basis, overload_timeout_s))};
  return {a, b, c, d, e, f_before, f_after};
}

}  // namespace weir
