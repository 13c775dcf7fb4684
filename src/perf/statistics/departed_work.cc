#include "perf/statistics/departed_work.h"

#include <algorithm>
#include <optional>

#include "perf/statistics/server_stamps.h"

namespace weir {
namespace {

// Part of [began, ended] that lies after `left`.
double ShareAfter(double left, double began, double ended) {
  if (left <= began) return 1;
  return left >= ended ? 0 : (ended - left) / (ended - began);
}

}  // namespace

DepartedWork WorkForDeparted(std::span<const RequestRecord> records) {
  DepartedWork work;
  for (const RequestRecord& record : records) {
    const bool left = record.outcome == Outcome::kFailed || record.outcome == Outcome::kCancelled;
    const std::optional<ServerStamps> stamps = StampsOf(record);
    if (!stamps) {
      // Whoever never began to be computed has an account too, in which nothing was computed.
      if (left && FindJson(record.server, {"ledger_ms"}) == nullptr) ++work.num_unknown;
      continue;
    }
    work.all_tokens += stamps->prompt_tokens + stamps->output_tokens;
    if (!left) continue;
    work.tokens +=
        stamps->prompt_tokens * ShareAfter(record.done_ms, stamps->prefill_began_ms, stamps->first_token_ms);
    work.tokens +=
        stamps->output_tokens * ShareAfter(record.done_ms, stamps->first_token_ms, stamps->last_token_ms);
  }
  return work;
}

}  // namespace weir
