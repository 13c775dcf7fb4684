// Takes tool calls out of generated text as it arrives: "<tool_call>{"name": ..., "arguments": {...}}</tool_call>".
//
// Errors    none: what is no call stays text
// Threads   one per sequence, on its io thread
//
// Time is linear in the text. Text that may turn out to begin a call is held back until that is known.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/openai/response_json.h"

namespace weir {

class ToolCallParser {
 public:
  // Text outside calls is appended to `text`, calls that were completed to `calls`.
  void Add(std::string_view piece, std::string* text, std::vector<WireToolCall>* calls);
  // What was held back: a call whose end was left out, or plain text.
  void Finish(std::string* text, std::vector<WireToolCall>* calls);
  int num_calls() const { return num_calls_; }

 private:
  static constexpr std::string_view kBegin = "<tool_call>";
  static constexpr std::string_view kEnd = "</tool_call>";

  bool TakeCall(std::string_view body, std::vector<WireToolCall>* calls);

  std::string held_;
  size_t searched_ = 0;  // of held_, inside a call: no end begins before
  bool inside_ = false;
  bool between_ = false;  // only space came since the last call: it belongs to the format
  int num_calls_ = 0;
};

}  // namespace weir
