// A request that has ended, whichever way: what the ledger ring, the access log and the metrics are made from.
//
// Units     milliseconds in JSON; the ledger itself is in nanoseconds of the monotonic clock
// Source    docs/FORMATS.md, "Ledgers"
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/request/ledger.h"
#include "engine/request/request_owner.h"

namespace weir {

struct ClosedRequest {
  uint64_t number = 0;  // in the order of closing, from 1
  std::string id;
  std::string owner;  // name of its key; empty without keys
  std::string method;
  std::string path;
  std::string model;
  int status = 0;             // 499: the client left
  std::string code;           // of the error; empty when there was none
  std::string finish_reason;  // of the first choice
  RequestClass service_class = RequestClass::kDefault;
  bool is_stream = false;
  int num_choices = 0;
  int64_t max_tokens = 0;
  int prompt_tokens = 0;
  int cached_tokens = 0;
  int output_tokens = 0;  // computed, for whomever: also after the client had left
  bool seed_known = false;
  int64_t seed = 0;
  double predicted_ttft_ms = -1;  // below zero: no prediction was made
  Duration engine_share{};        // of all its sequences; the ledger is one of them
  TimePoint client_left{};        // zero: it stayed
  Ledger ledger;
  std::vector<std::string> ignored_fields;

  // "ok", "refused" (429 and 503), "bad_request", "cancelled", "failed"
  std::string_view outcome() const;
};

// {"queue_slot": 12.5, ...}: the stages that took any time.
Json LedgerMsJson(const Ledger& ledger);
// The `weir` field of a response: stages so far.
Json WeirFieldJson(const std::string& request_id, const Ledger& ledger, double predicted_ttft_ms);
// One line of /debug/requests, or the answer of /ledger/{id}.
Json ToJson(const ClosedRequest& request);
// One line of the access log.
std::string AccessLogLine(const ClosedRequest& request);
// The value of a Server-Timing header.
std::string ServerTiming(const Ledger& ledger);

// Two processes with the same id read the same monotonic clock.
const std::string& BootId();

}  // namespace weir
