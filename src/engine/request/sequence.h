// One token stream with its block table: what the scheduler moves between waiting and running.
//
// Owns      its block table and sampler state
// Threads   engine thread only
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/grammar/grammar_matcher.h"
#include "engine/kvcache/block_table.h"
#include "engine/kvcache/prefix_cache.h"
#include "engine/request/request.h"
#include "engine/request/request_stream.h"
#include "engine/sampling/sampler.h"

namespace weir {

struct ServedFlow;  // the scheduler's

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
  std::vector<uint64_t> block_hashes;  // of the prompt's whole blocks; empty without a prefix cache
  int num_kept_blocks = 0;             // first ones of the table that are in the prefix cache
  int num_cached_tokens = 0;           // found there when it ran first
  SequenceState state = SequenceState::kWaiting;
  ServedFlow* flow = nullptr;  // whose account it is on, while the scheduler has it
  TimePoint arrived{};
  std::optional<TimePoint>
      latest_first_token;  // with which its answer comes in time: refused while it waits after this
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
  // Whoever wants scores of the prompt needs its rows, so nothing of it is skipped.
  bool is_looked_up() const { return !block_hashes.empty() && !request.prompt_logprobs; }
  // What a prefix cache may save: never the sequence's last token, whose logits choose the next one.
  PromptPrefix SkippablePrefix() const {
    const size_t most = is_looked_up() ? static_cast<size_t>(num_tokens() - 1) / kBlockSize : 0;
    return PrefixOf(std::min(most, block_hashes.size()));
  }
  PromptPrefix WholePrefix() const { return PrefixOf(block_hashes.size()); }
  int num_output_tokens() const { return num_tokens() - num_prompt_tokens; }
  // One token left to compute, and it is not part of the prompt's first pass.
  bool is_decode() const { return num_tokens() - num_computed_tokens == 1 && num_output_tokens() > 0; }

 private:
  PromptPrefix PrefixOf(size_t num_blocks) const {
    return {request.prefix_salt(), tokens, std::span(block_hashes).first(num_blocks)};
  }
};

}  // namespace weir
