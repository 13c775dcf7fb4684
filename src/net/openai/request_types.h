// What a client asked for, as the API's JSON says it: validated in itself, not yet against a model.
//
// Requires  filled by ParseChatRequest() or ParseCompletionRequest(), whose ranges hold afterwards
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "net/openai/tool_call.h"

namespace weir {

// The parts that both endpoints share.
struct GenerationFields {
  std::string model;
  std::optional<int64_t> max_tokens;  // max_completion_tokens or max_tokens
  int64_t min_tokens = 0;
  bool ignore_eos = false;
  std::string service_tier;  // auto, default, priority, flex; empty: not given
  double temperature = 1.0;
  double top_p = 1.0;
  double min_p = 0.0;
  int64_t top_k = 0;
  double presence_penalty = 0.0;
  double frequency_penalty = 0.0;
  double repetition_penalty = 1.0;
  std::optional<int64_t> seed;
  std::vector<std::string> stop;
  std::vector<int64_t> stop_token_ids;
  std::vector<std::string> bad_words;
  std::vector<std::pair<int64_t, double>> logit_bias;
  int num_logprobs = -1;         // -1: none; 0: the chosen token only
  int num_prompt_logprobs = -1;  // the same, of the prompt
  int n = 1;
  bool stream = false;
  bool include_usage = false;
  bool continuous_usage_stats = false;
  bool skip_special_tokens = true;
  bool return_token_ids = false;
  std::vector<std::string>
      ignored_fields;  // not in the table; the first few, cut, with the nearest known name
};

// What the whole output has to be.
struct OutputConstraint {
  enum class Kind { kNone, kAnyObject, kSchema, kToolCalls };
  Kind kind = Kind::kNone;
  Json schema;        // kToolCalls: a list of {"name", "parameters"}, one of which each call is of
  int max_calls = 1;  // kToolCalls
};

struct WireMessage {
  std::string role;
  std::string content;  // text parts joined; empty when there is none
  std::string name;
  std::vector<WireToolCall> tool_calls;  // of an assistant
  std::string tool_call_id;              // that a tool answers
  // What calls tools may come without content, said so or left out; a template can tell these apart.
  bool null_content = false;
  bool no_content = false;
};

struct WireTool {
  std::string name;
  Json definition;  // as it came: {"type": "function", "function": {...}}
  Json parameters;  // its schema
};

enum class ToolChoice { kNone, kAuto, kCall };  // kCall: it must call, one of those that `constraint` names

struct ChatRequest : GenerationFields {
  std::vector<WireMessage> messages;
  OutputConstraint constraint;
  std::vector<WireTool> tools;
  ToolChoice tool_choice = ToolChoice::kAuto;
  bool add_generation_prompt = true;
};

// Text, or token ids.
using WirePrompt = std::variant<std::string, std::vector<int64_t>>;

struct CompletionRequest : GenerationFields {
  std::vector<WirePrompt> prompts;
  bool echo = false;
  bool parse_special = true;
};

struct TokenizeRequest {
  std::string model;
  std::optional<std::string> prompt;  // one of prompt and messages
  std::vector<WireMessage> messages;
  bool add_special_tokens = true;
  bool parse_special = true;
  bool add_generation_prompt = true;
};

struct DetokenizeRequest {
  std::string model;
  std::vector<int64_t> tokens;
};

}  // namespace weir
