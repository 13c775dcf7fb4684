#include "server/tool_call_parser.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "server/request_id.h"

namespace weir {
namespace {

constexpr size_t kMaxCallBytes = 256 << 10;
constexpr size_t kMaxHeadBytes = 1 << 10;
constexpr int kMaxCalls = 128;

// The longest end of the text that may go on to be the tag.
size_t PartialTag(std::string_view text, std::string_view tag) {
  for (size_t size = std::min(text.size(), tag.size() - 1); size > 0; --size) {
    if (tag.starts_with(text.substr(text.size() - size))) return size;
  }
  return 0;
}

// As the model wrote them, so that a call in pieces and a whole one say the same.
std::string ArgumentsText(std::string_view body, const Json& arguments) {
  const ToolCallHead head = ReadToolCallHead(body);
  if (head.found != ToolCallHead::Found::kYes) return DumpJson(arguments);
  body.remove_prefix(head.arguments);
  return std::string(body.substr(0, JsonObjectEnd().Feed(body)));
}

}  // namespace

bool ToolCallParser::TakeCall(std::string_view body, std::vector<WireToolCall>* calls) {
  if (num_calls_ >= kMaxCalls || body.size() > kMaxCallBytes) return false;
  const Result<Json> parsed = ParseJson(body);
  if (!parsed.has_value()) return false;
  const Json* name = FindJson(*parsed, {"name"});
  const Json* arguments = FindJson(*parsed, {"arguments"});
  if (arguments == nullptr) arguments = FindJson(*parsed, {"parameters"});
  if (name == nullptr || !name->is_string() || (arguments != nullptr && !arguments->is_object()))
    return false;
  calls->push_back({.index = num_calls_++,
                    .id = MakeId("call_"),
                    .name = name->get<std::string>(),
                    .arguments = arguments == nullptr ? "{}" : ArgumentsText(body, *arguments)});
  return true;
}

bool ToolCallParser::ReadText(std::string* text) {
  const size_t begin = held_.find(kBegin);
  if (begin == std::string::npos) {
    const size_t keep = PartialTag(held_, kBegin);
    text->append(held_, 0, held_.size() - keep);
    held_.erase(0, held_.size() - keep);
    return false;
  }
  text->append(held_, 0, begin);
  held_.erase(0, begin);
  state_ = State::kCall;
  searched_ = kBegin.size();
  may_send_pieces_ = delivery_ == ToolCallDelivery::kInPieces && num_calls_ < kMaxCalls;
  return true;
}

bool ToolCallParser::ReadBetween() {
  const size_t first = held_.find_first_not_of(" \n");
  if (first == std::string::npos) return false;
  const size_t size = std::min(kBegin.size(), held_.size() - first);
  if (held_.compare(first, size, kBegin, 0, size) == 0) {
    if (size < kBegin.size()) return false;
    held_.erase(0, first);
  }
  state_ = State::kText;
  return true;
}

bool ToolCallParser::ReadCall(std::string* text, std::vector<WireToolCall>* calls) {
  if (may_send_pieces_) {
    ToolCallHead head = ReadToolCallHead(std::string_view(held_).substr(kBegin.size()));
    if (head.found == ToolCallHead::Found::kYes) {
      calls->push_back({.index = num_calls_++, .id = MakeId("call_"), .name = std::move(head.name)});
      held_.erase(0, kBegin.size() + head.arguments);
      arguments_end_ = {};
      state_ = State::kArguments;
      return true;
    }
    may_send_pieces_ = head.found == ToolCallHead::Found::kNotYet && held_.size() <= kMaxHeadBytes;
  }
  const size_t end = held_.find(kEnd, searched_);
  if (end == std::string::npos) {
    searched_ = std::max(searched_, held_.size() - PartialTag(held_, kEnd));
    return false;
  }
  const bool is_call = TakeCall(std::string_view(held_).substr(kBegin.size(), end - kBegin.size()), calls);
  if (!is_call) *text += held_.substr(0, end + kEnd.size());
  held_.erase(0, end + kEnd.size());
  state_ = is_call ? State::kBetween : State::kText;
  return true;
}

// Moves the first bytes of held_ into the call.
void ToolCallParser::SendArguments(size_t size, std::vector<WireToolCall>* calls) {
  if (size == 0) return;
  if (calls->empty()) calls->push_back({.index = num_calls_ - 1});
  calls->back().arguments.append(held_, 0, size);
  held_.erase(0, size);
}

bool ToolCallParser::ReadArguments(std::vector<WireToolCall>* calls) {
  if (!arguments_end_.is_broken()) {
    SendArguments(arguments_end_.Feed(held_), calls);
    if (arguments_end_.at_end()) {
      state_ = State::kClosing;
      return true;
    }
    if (!arguments_end_.is_broken()) return false;
  }
  // No JSON: all up to the tag belongs to the call, as the model wrote it.
  const size_t end = held_.find(kEnd);
  SendArguments(end == std::string::npos ? held_.size() - PartialTag(held_, kEnd) : end, calls);
  if (end == std::string::npos) return false;
  held_.erase(0, kEnd.size());
  state_ = State::kBetween;
  return true;
}

// Braces and space are dropped, also a brace too many.
bool ToolCallParser::ReadClosing() {
  held_.erase(0, std::min(held_.find_first_not_of("} \n\r\t"), held_.size()));
  if (held_.size() < kEnd.size() && kEnd.starts_with(held_)) return false;
  if (held_.starts_with(kEnd)) held_.erase(0, kEnd.size());
  state_ = State::kBetween;
  return true;
}

void ToolCallParser::Add(std::string_view piece, std::string* text, std::vector<WireToolCall>* calls) {
  held_ += piece;
  for (bool goes_on = true; goes_on;) {
    switch (state_) {
      case State::kText:
        goes_on = ReadText(text);
        break;
      case State::kBetween:
        goes_on = ReadBetween();
        break;
      case State::kCall:
        goes_on = ReadCall(text, calls);
        break;
      case State::kArguments:
        goes_on = ReadArguments(calls);
        break;
      case State::kClosing:
        goes_on = ReadClosing();
        break;
    }
  }
}

void ToolCallParser::Finish(std::string* text, std::vector<WireToolCall>* calls) {
  if (state_ == State::kCall && TakeCall(std::string_view(held_).substr(kBegin.size()), calls)) held_.clear();
  if (state_ == State::kArguments) SendArguments(held_.size(), calls);
  if (state_ == State::kClosing) held_.clear();
  if (state_ != State::kBetween || held_.find_first_not_of(" \n") != std::string::npos) *text += held_;
  held_.clear();
}

}  // namespace weir
