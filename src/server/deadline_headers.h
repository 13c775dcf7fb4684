// How long a client is willing to wait, from the headers clients and gateways send.
//
// Errors    INVALID_ARGUMENT "invalid_header" for our own headers when malformed or outside 1 ms to 1 h; SDK headers are
//           ignored then, because their senders do not know that they send them
// Threads   any
#pragma once

#include <optional>

#include "base/clock.h"
#include "base/result.h"
#include "net/http/server.h"

namespace weir {

struct ClientDeadlines {
  std::optional<Duration> total;        // x-request-timeout-ms
  std::optional<Duration> first_token;  // x-slo-ttft-ms
  std::optional<Duration> sdk;          // first token when streaming, total otherwise

  // The tightest known before the body says whether it streams.
  std::optional<Duration> FirstTokenBudget() const;
};

Result<ClientDeadlines> ReadDeadlines(const HttpRequestHead& head);

}  // namespace weir
