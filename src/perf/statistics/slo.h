// What a request must keep to count as good.
#pragma once

#include <optional>

#include "perf/recorder/request_record.h"

namespace weir {

// Bounds in ms; absent: not asked.
struct Slo {
  std::optional<double> ttft_ms, tpot_ms, e2el_ms;
  bool empty() const { return !ttft_ms && !tpot_ms && !e2el_ms; }
};

// All bounds kept, by a successful request. In an open loop time counts from the intended send.
bool MeetsSlo(const RequestRecord& record, const Slo& slo, bool open_loop);

}  // namespace weir
