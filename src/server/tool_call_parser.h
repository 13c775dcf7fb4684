// Takes tool calls out of generated text as it arrives: "<tool_call>{"name": ..., "arguments": {...}}</tool_call>".
//
// Errors    none: what is no call stays text
// Threads   one per sequence, on its io thread
//
// Time is linear in the text. Text that may turn out to begin a call is held back until that is known. With kInPieces a call is
// one from its "arguments": { on, and its arguments go out as they come, as the model writes them: what was sent cannot become
// text again when the rest is no JSON. With kWhole a call goes out at its end, if it is one. Both give the same calls for
// well-formed text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/openai/response_json.h"
#include "server/tool_call_text.h"

namespace weir {

enum class ToolCallDelivery : uint8_t { kWhole, kInPieces };

class ToolCallParser {
 public:
  explicit ToolCallParser(ToolCallDelivery delivery = ToolCallDelivery::kWhole) : delivery_(delivery) {}

  // Text outside calls is appended to `text`; to `calls` those that begin, and more arguments of the last one: to the call itself
  // if it is still in `calls`, else as an entry without id and name.
  void Add(std::string_view piece, std::string* text, std::vector<WireToolCall>* calls);
  // What was held back: a call whose end was left out, or plain text.
  void Finish(std::string* text, std::vector<WireToolCall>* calls);
  int num_calls() const { return num_calls_; }

 private:
  enum class State : uint8_t {
    kText,
    kBetween,  // only space came since the last call: it belongs to the format
    kCall,     // behind <tool_call>, nothing has gone out
    kArguments,
    kClosing  // behind the arguments
  };
  static constexpr std::string_view kBegin = "<tool_call>";
  static constexpr std::string_view kEnd = "</tool_call>";

  // Each deals with the front of held_; false: more must come first.
  bool ReadText(std::string* text);
  bool ReadBetween();
  bool ReadCall(std::string* text, std::vector<WireToolCall>* calls);
  bool ReadArguments(std::vector<WireToolCall>* calls);
  bool ReadClosing();

  bool TakeCall(std::string_view body, std::vector<WireToolCall>* calls);
  void SendArguments(size_t size, std::vector<WireToolCall>* calls);

  ToolCallDelivery delivery_;
  State state_ = State::kText;
  std::string held_;
  size_t searched_ = 0;           // of held_, in kCall: no end begins before
  bool may_send_pieces_ = false;  // in kCall: the head may still be the usual one
  JsonObjectEnd arguments_end_;
  int num_calls_ = 0;
};

}  // namespace weir
