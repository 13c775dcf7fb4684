// Where the time of a closed loop's workers went: an exact balance, so nothing can hide.
//
// Units     ms; tokens per second
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
  std::optional<double> batch_mean;  // sequences that ran together
  int concurrency = 0;
  double other_cpu_ms =
      0;  // of the client, of the server's other threads and of strangers, while the engine computed
};

// Of the records of this row's stage. Empty for an open loop, or without records.
std::optional<SlotTime> BalanceSlotTime(const Json& load_row, const std::vector<RequestRecord>& records);

// The same balance of one repeat of a direct benchmark whose batch drains; `run_id` is the beginning of its requests' ids.
std::optional<SlotTime> BalanceRepeat(const std::vector<RequestRecord>& records, const std::string& run_id,
                                      int batch_size);
// Several that measured the same load, as one.
SlotTime SumSlotTimes(const std::vector<SlotTime>& parts);

// What the direct benchmark says about the same number in flight.
struct DirectSlots {
  int concurrency = 0;
  std::optional<double> best_tps;  // its best row
  double tps = 0;                  // C over the slot time of a token
  std::map<std::string, double> ms_per_token;
  std::optional<double> batch_mean;
  std::map<double, double> decode_curve;  // sequences that run together -> decode ms of a token
};
// Empty when the benchmark has no row of that batch size, or one from before rows had a slot{}.
std::optional<DirectSlots> ReadDirectSlots(const Json& benchmark, int concurrency);
// As of a benchmark's row, from a balance.
DirectSlots DirectFrom(const SlotTime& balance);
// The curve and the best row of another benchmark, that has more batch sizes, instead of its own.
void ReadDecodeCurve(const Json& benchmark, DirectSlots* slots);

// Turns of the engine and the server, pair by pair. A host that stalls in the middle of a turn makes one side look slow; so
// the pairs are ordered by the ratio of their slot times, and a quarter of them is left out at either end. What is left is
// still an exact balance of both sides.
struct TurnPair {
  SlotTime direct, api;
};
std::vector<TurnPair> MiddleTurns(std::vector<TurnPair> pairs);

// The causes between direct and API throughput at the same number in flight, largest first, "unattributed" last; null when
// the server told no stages. The verdict is that of V-16 alone.
Json AttributeGap(const SlotTime& api, const DirectSlots& direct, double api_tps);

}  // namespace weir
