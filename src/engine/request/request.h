// What a client asked for, after parsing and tokenizing: the engine's input.
//
// Requires  prompt not empty, ids in the vocabulary; prompt + max_tokens within the context and the KV pool
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/grammar/grammar.h"
#include "engine/request/ledger.h"
#include "engine/request/request_owner.h"
#include "engine/sampling/sampling_params.h"

namespace weir {

struct Request {
  std::string id;
  RequestOwner owner;
  std::vector<int32_t> prompt;
  SamplingParams sampling;
  int max_tokens = 16;
  int min_tokens = 0;
  bool ignore_eos = false;
  std::vector<int32_t> stop_token_ids;  // besides the model's end ids
  bool prompt_logprobs = false;         // log-probability of every prompt token; allows max_tokens 0
  int num_prompt_top = 0;               // and of the most likely ones in its place
  // The output is a text of it, and ends with it: over min_tokens, ignore_eos and bad_words. Null: free text.
  std::shared_ptr<Grammar> grammar;
  int adapter = 0;  // 0: the model itself; else EngineOptions::adapters from 1 on
  RequestClass service_class = RequestClass::kDefault;
  std::optional<TimePoint> deadline;              // whole request
  std::optional<TimePoint> first_token_deadline;  // refused while still queued when it cannot be met
  Ledger ledger;                                  // begun by whoever received it; the engine continues it

  // Nothing but max_tokens ends its output, as far as the engine knows; a text to stop at is the server's.
  bool runs_to_its_end() const { return ignore_eos && stop_token_ids.empty() && grammar == nullptr; }

  // Of the prefix cache. One owner's adapters all have different ones, since the factor is odd: what an adapter computed
  // is never found for another.
  uint64_t prefix_salt() const { return owner.salt ^ static_cast<uint64_t>(adapter) * 0x9e3779b97f4a7c15u; }
};

}  // namespace weir
