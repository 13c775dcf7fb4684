// The raw timeline of one measured request: what every metric is computed from.
//
// Units     times in ms from the run's start; absent when it never happened
// Source    docs/FORMATS.md, "Per-request records"
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace weir {

enum class Outcome { kOk, kShed, kFailed, kCancelled };
std::string_view OutcomeName(Outcome outcome);

struct RecordError {
  std::string error_class;  // "timeout", "connect_refused", "http_500", "malformed_stream", ...
  int http_status = 0;
  std::string phase;  // connect, first_byte, first_token, stream
  std::string message;
};

struct RequestRecord {
  std::string id;
  int64_t seq = 0;
  int load_stage = 0;
  int attempt = 1;
  bool retried = false;  // a later attempt took its place: this one is no request's outcome
  std::string prompt_id;
  int prompt_tokens = 0;
  std::optional<int> prompt_tokens_target;  // of a prompt made to a length
  std::optional<int> cached_tokens;         // of the prompt; empty: the server does not say
  int max_tokens = 0;
  int output_tokens = 0;
  std::optional<int> output_tokens_local;
  double intended_ms = 0;
  double sent_ms = 0;
  std::optional<double> first_byte_ms;
  std::optional<double> first_token_ms;
  std::vector<double> token_times_ms;
  std::vector<int> chunk_sizes;
  std::optional<double> last_token_ms;
  double done_ms = 0;
  std::optional<double> connect_ms;
  Outcome outcome = Outcome::kFailed;
  std::optional<RecordError> error;
  std::optional<double> retry_after_s;
  std::string finish_reason;
  std::optional<bool> slo_met;
  std::string output_hash;  // of the output's token ids; empty: they are not known
  // ledger_ms{} num_steps batch_mean predicted_ttft_ms prompt_tokens cached_tokens output_tokens clock{}, or null
  Json server;
};

// What `output_hash` holds.
std::string HashTokenIds(const std::vector<int32_t>& ids);

// Moves all its times, the server's too: from the time of a stage to that of the run.
void ShiftTimes(double by_ms, RequestRecord* record);

Json ToJson(const RequestRecord& record);
Result<RequestRecord> RequestRecordFromJson(const Json& json);

}  // namespace weir
