// Where the time of a closed loop's workers went: an exact balance, so nothing can hide.
//
// Units     shares of C workers x WIN-1; they add up to 1
// Source    docs/MEASUREMENT.md, "Gap attribution" (ATT-1 to ATT-3)
//
// C workers exist for W seconds. Every moment of a worker is spent in a request's stage, in a failed or shed
// request, or between requests; divided by the good tokens these parts give the milliseconds of slot time
// that one token costs.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "perf/recorder/request_record.h"

namespace weir {

struct SlotTime {
  double total_ms = 0;                     // C x WIN-1
  double good_tokens = 0;                  // output tokens of ok requests
  std::map<std::string, double> parts_ms;  // cause -> ms; sums to total_ms
  bool has_ledgers = false;  // the server told its stages; without them its time is one part, "server"
};

// Empty for an open loop, or without records.
std::optional<SlotTime> BalanceSlotTime(const Json& load_row, const std::vector<RequestRecord>& records);

// The causes between direct and API throughput at the same number in flight; null when `direct_tps` is not
// known.
Json AttributeGap(const SlotTime& api, int concurrency, std::optional<double> direct_best_tps,
                  std::optional<double> direct_tps, double api_tps);

}  // namespace weir
