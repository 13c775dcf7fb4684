// What the engine tells a request's reader: one event per token, and exactly one final event.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "engine/sampling/sampler.h"

namespace weir {

enum class FinishReason : uint8_t { kNone, kStop, kLength, kError };
std::string_view FinishReasonName(FinishReason reason);  // "stop", "length"; empty for the others

struct TokenEvent {
  int32_t token = -1;  // -1: no token, the event only ends the request
  int index = 0;       // of the output token
  TimePoint at{};      // one clock reading per step, after sampling
  std::unique_ptr<TokenLogprobs> logprobs;
  // With Request::prompt_logprobs, once, in the first event: one entry per prompt token; the first has no
  // meaning, because nothing comes before it.
  std::unique_ptr<std::vector<TokenLogprobs>> prompt_logprobs;
  FinishReason finish = FinishReason::kNone;  // not kNone: the last event
  bool is_end_token = false;  // the token is an end id or stop id: it counts, its text is not shown
  Status error;               // why, with kError
};

}  // namespace weir
