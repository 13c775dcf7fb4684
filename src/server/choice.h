// One sequence on its way back: token events in, text with its log-probabilities out.
//
// Requires  the prompt outlives it
// Owns      the detokenizer and what has not been taken yet
// Threads   the request's io thread
//
// Text taken in pieces, joined, equals the text taken at once; nothing of a stop string comes out.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/request/token_event.h"
#include "engine/tokenizer/detokenizer.h"
#include "engine/tokenizer/tokenizer.h"
#include "net/openai/response_json.h"
#include "server/tool_call_parser.h"

namespace weir {

struct ChoiceOptions {
  std::vector<std::string> stop;
  bool skip_special = true;
  bool with_logprobs = false;
  int num_logprobs = 0;          // of alternatives, with with_logprobs
  int num_prompt_logprobs = -1;  // -1: none
  bool with_token_ids = false;
  bool is_chat = true;
  bool finds_tool_calls = false;
  ToolCallDelivery tool_call_delivery = ToolCallDelivery::kWhole;
};

class Choice {
 public:
  Choice(const Tokenizer& tokenizer, ChoiceOptions options, int index);

  // Completions with echo: what comes before the first generated token.
  void AddEcho(const std::string& text, std::vector<int32_t> prompt);
  // What event.prompt_logprobs will be about, when they were asked for.
  void SetPrompt(std::span<const int32_t> prompt) { prompt_ = prompt; }
  // Requires no error event. Nothing after a stop string or the final event has an effect.
  void Take(const TokenEvent& event);

  // The finish reason is known: "stop" also when a stop string came out, which the engine does not know.
  bool is_done() const { return !finish_reason_.empty(); }
  bool matched_stop() const { return detokenizer_.stopped(); }
  const std::string& finish_reason() const { return finish_reason_; }
  int num_tokens() const { return num_tokens_; }
  bool has_news() const;
  // What came since the last time; with the finish reason once that is known.
  WireChoice TakeNews();

 private:
  struct PendingLogprob {
    WireLogprob logprob;
    int64_t begin_byte = 0;
    int64_t end_byte = 0;
  };

  void AddText(std::string text);
  // Without text, as an end token, it adds no byte.
  void AddLogprob(int32_t token, const TokenLogprobs* logprobs, bool has_text = true);
  void WritePromptLogprobs(const std::vector<TokenLogprobs>& scores);

  const Tokenizer& tokenizer_;
  ChoiceOptions options_;
  Detokenizer detokenizer_;
  int index_;
  std::string text_;
  int64_t text_bytes_ = 0;   // of all text so far
  int64_t token_bytes_ = 0;  // of all tokens with a logprob entry
  int text_offset_ = 0;      // the same in characters
  std::vector<PendingLogprob> logprobs_;
  std::vector<int32_t> token_ids_;
  std::vector<int32_t> echoed_prompt_;
  std::span<const int32_t> prompt_;
  std::string prompt_logprobs_;
  ToolCallParser tool_parser_;
  std::vector<WireToolCall> tool_calls_;
  std::string finish_reason_;
  bool finish_taken_ = false;
  int num_tokens_ = 0;
};

}  // namespace weir
