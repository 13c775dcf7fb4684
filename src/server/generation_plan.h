// From a wire request to what the engine takes: template, token ids, limits.
//
// Errors    INVALID_ARGUMENT with param: context_length_exceeded with both counts, template_error, ids outside the
//           vocabulary. What can never fit is refused here, before it is queued
// Threads   any; reads immutable parts of the engine
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "net/openai/request_types.h"

namespace weir {

struct PlannedPrompt {
  std::vector<int32_t> tokens;
  std::string echo_text;  // completions with echo: what the answer starts with
};

struct GenerationPlan {
  std::vector<PlannedPrompt> prompts;
  Request shape;  // of every sequence, but for its prompt and seed; max_tokens is per prompt, below
  std::vector<int> max_tokens;
  int n = 1;
  bool echo = false;
  int64_t seed = 0;  // of the first choice; the others count up

  int num_sequences() const { return static_cast<int>(prompts.size()) * n; }
  int64_t num_prompt_tokens() const;  // n counts: each sequence computes its own
};

// Most tokens that prompt and answer may have together.
int64_t ContextLimit(const Engine& engine);
Result<GenerationPlan> PlanChat(const ChatRequest& request, const Engine& engine, Ledger* ledger);
Result<GenerationPlan> PlanCompletion(const CompletionRequest& request, const Engine& engine, Ledger* ledger);
// One sequence of the plan.
Request MakeRequest(const GenerationPlan& plan, int sequence, std::string id);

}  // namespace weir
