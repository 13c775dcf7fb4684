#include "server/tool_call_parser.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "server/request_id.h"

namespace weir {
namespace {

constexpr size_t kMaxCallBytes = 256 << 10;
constexpr int kMaxCalls = 128;

// The longest end of the text that may go on to be the tag.
size_t PartialTag(std::string_view text, std::string_view tag) {
  for (size_t size = std::min(text.size(), tag.size() - 1); size > 0; --size) {
    if (tag.starts_with(text.substr(text.size() - size))) return size;
  }
  return 0;
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
                    .arguments = arguments == nullptr ? "{}" : DumpJson(*arguments)});
  return true;
}

void ToolCallParser::Add(std::string_view piece, std::string* text, std::vector<WireToolCall>* calls) {
  held_ += piece;
  while (true) {
    if (inside_) {
      const size_t end = held_.find(kEnd, searched_);
      if (end == std::string::npos) {
        searched_ = held_.size() - PartialTag(held_, kEnd);
        return;
      }
      if (!TakeCall(std::string_view(held_).substr(kBegin.size(), end - kBegin.size()), calls)) {
        *text += held_.substr(0, end + kEnd.size());
      } else {
        between_ = true;
      }
      held_.erase(0, end + kEnd.size());
      inside_ = false;
      searched_ = 0;
    }
    if (between_) {
      const size_t first = held_.find_first_not_of(" \n");
      if (first == std::string::npos) return;
      if (held_.compare(first, kBegin.size(), kBegin, 0, std::min(kBegin.size(), held_.size() - first)) ==
          0) {
        if (held_.size() - first < kBegin.size()) return;
        held_.erase(0, first);
      }
      between_ = false;
    }
    const size_t begin = held_.find(kBegin);
    if (begin == std::string::npos) {
      const size_t keep = PartialTag(held_, kBegin);
      text->append(held_, 0, held_.size() - keep);
      held_.erase(0, held_.size() - keep);
      return;
    }
    text->append(held_, 0, begin);
    held_.erase(0, begin);
    inside_ = true;
    searched_ = kBegin.size();
  }
}

void ToolCallParser::Finish(std::string* text, std::vector<WireToolCall>* calls) {
  if (inside_ && TakeCall(std::string_view(held_).substr(kBegin.size()), calls)) held_.clear();
  if (!between_ || held_.find_first_not_of(" \n") != std::string::npos) *text += held_;
  held_.clear();
}

}  // namespace weir
