// A target that answers at once: what a run against it measures is the driver itself.
#pragma once

#include <string>
#include <utility>

#include "perf/driver/target.h"

namespace weir {

class NullTarget final : public Target {
 public:
  void Send(TargetRequest request, TimePoint run_start, std::function<void(RequestRecord)> on_done) override {
    RequestRecord record;
    const double now = ToMilliseconds(MonotonicClock::Get().Now() - run_start);
    record.id = std::move(request.id);
    record.seq = request.seq;
    record.prompt_id = std::move(request.prompt_id);
    record.max_tokens = record.output_tokens = request.max_tokens;
    record.intended_ms = ToMilliseconds(request.intended - run_start);
    record.sent_ms = record.done_ms = now;
    record.first_token_ms = record.last_token_ms = now;
    record.token_times_ms.assign(static_cast<size_t>(request.max_tokens), now);
    record.chunk_sizes = {request.max_tokens};
    record.outcome = Outcome::kOk;
    on_done(std::move(record));
  }
  std::string name() const override { return "null"; }
};

}  // namespace weir
