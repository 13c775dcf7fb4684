// When a server did what for a request, in the time of the run; from the ledger that was joined into its record.
//
// Units     ms from the run's start
// Threads   pure functions
#pragma once

#include <optional>

#include "perf/recorder/request_record.h"

namespace weir {

struct ServerStamps {
  double prefill_began_ms = 0;
  double first_token_ms = 0;  // end of the prefill; when the account was closed where no token came
  double last_token_ms = 0;
  double prompt_tokens = 0;  // computed, not taken from the cache
  double output_tokens = 0;
};

// Empty where the server computed nothing for the request, gave no account of it, or reads another clock.
std::optional<ServerStamps> StampsOf(const RequestRecord& record);

}  // namespace weir
