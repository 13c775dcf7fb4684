#include "perf/statistics/clock_check.h"

#include <fmt/format.h>

namespace weir {
namespace {

// Files keep microseconds, rounded.
constexpr double kRoundingMs = 0.002;

bool IsOutside(const RequestRecord& record, const Json& clock) {
  const auto stamp = [&](std::string_view name) { return JsonNumber(FindJson(clock, {name})); };
  const auto started = stamp("started_ms"), first = stamp("first_token_ms"), last = stamp("last_token_ms");
  if (started && *started < record.sent_ms - kRoundingMs) return true;
  if (record.outcome != Outcome::kOk) return started && *started > record.done_ms + kRoundingMs;
  if (first && record.first_token_ms && *first > *record.first_token_ms + kRoundingMs) return true;
  return last && *last > record.done_ms + kRoundingMs;
}

}  // namespace

void CheckClock(std::span<const RequestRecord> records, Validity* validity) {
  int64_t seen = 0, outside = 0, elsewhere = 0;
  for (const RequestRecord& record : records) {
    const Json* clock = FindJson(record.server, {"clock"});
    if (clock == nullptr || !clock->is_object()) continue;
    ++seen;
    const Json* same_boot = FindJson(*clock, {"same_boot"});
    if (same_boot == nullptr || !same_boot->is_boolean() || !same_boot->get<bool>()) {
      ++elsewhere;
    } else if (IsOutside(record, *clock)) {
      ++outside;
    }
  }
  if (seen == 0) return;
  validity->AddAbove("V-15", "attribution", static_cast<double>(outside + elsewhere), std::nullopt, 0,
                     fmt::format("clock: of {} requests, {} have server stamps outside their client interval "
                                 "and {} were served by another machine or boot",
                                 seen, outside, elsewhere));
}

}  // namespace weir
