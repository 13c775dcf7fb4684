// One token stream with its block table: what the scheduler moves between waiting and running.
//
// Owns      its block table and sampler state
// Threads   engine thread only
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/grammar/grammar_matcher.h"
#include "engine/kvcache/block_table.h"
#include "engine/request/request.h"
#include "engine/request/request_stream.h"
#include "engine/sampling/sampler.h"

namespace weir {

enum class SequenceState : uint8_t { kWaiting, kRunning, kFinished };

struct Sequence {
  uint64_t number = 0;  // arrival order
  Request request;
  std::shared_ptr<RequestStream> stream;
  std::unique_ptr<SamplerState> sampler;
  std::unique_ptr<GrammarMatcher> matcher;  // with a grammar; has seen the output so far
  std::vector<int32_t> tokens;              // prompt, then output
  int num_prompt_tokens = 0;
  int num_computed_tokens = 0;  // whose K and V are in the cache
  BlockTable table;
  SequenceState state = SequenceState::kWaiting;
  TimePoint arrived{};
  Stage waiting_cause = Stage::kQueueSlot;  // why it was passed over in the last step
  int num_overtaken = 0;
  bool was_preempted = false;  // since its last token: what it computes now is recomputation
  int num_preemptions = 0;
  int64_t num_recomputed_tokens = 0;  // whose K and V preemptions threw away

  int num_tokens() const { return static_cast<int>(tokens.size()); }
  bool in_prompt() const { return num_computed_tokens < num_prompt_tokens; }
  // What a step may compute at most: a prompt and the output behind it, both lost by a preemption, are computed apart.
  int num_computable_tokens() const {
    return (in_prompt() ? num_prompt_tokens : num_tokens()) - num_computed_tokens;
  }
  int num_output_tokens() const { return num_tokens() - num_prompt_tokens; }
  // One token left to compute, and it is not part of the prompt's first pass.
  bool is_decode() const { return num_tokens() - num_computed_tokens == 1 && num_output_tokens() > 0; }
};

}  // namespace weir
