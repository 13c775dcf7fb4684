#include "perf/statistics/slo.h"

#include "perf/statistics/request_metrics.h"

namespace weir {

bool MeetsSlo(const RequestRecord& record, const Slo& slo, bool open_loop) {
  if (record.outcome != Outcome::kOk) return false;
  if (slo.ttft_ms) {
    const auto ttft = open_loop ? TimeToFirstTokenFromIntended(record) : TimeToFirstToken(record);
    if (!ttft || *ttft > *slo.ttft_ms) return false;
  }
  if (slo.tpot_ms && record.output_tokens > 1) {
    const auto tpot = TimePerOutputToken(record);
    if (!tpot || *tpot > *slo.tpot_ms) return false;
  }
  if (slo.e2el_ms) {
    const double e2el = open_loop ? LatencyFromIntended(record) : Latency(record);
    if (e2el > *slo.e2el_ms) return false;
  }
  return true;
}

}  // namespace weir
