#include "server/tool_call_text.h"

#include "base/json.h"

namespace weir {
namespace {

using Found = ToolCallHead::Found;

constexpr std::string_view kSpace = " \n\r\t";

// Takes one thing after another from the front of a text that may end anywhere.
class Front {
 public:
  explicit Front(std::string_view text) : text_(text) {}

  size_t at() const { return at_; }
  Found Take(std::string_view word) {
    const Found found = SkipSpace();
    if (found != Found::kYes) return found;
    const std::string_view left = text_.substr(at_);
    if (left.starts_with(word)) {
      at_ += word.size();
      return Found::kYes;
    }
    return word.starts_with(left) ? Found::kNotYet : Found::kNo;
  }
  Found TakeString(std::string* out) {
    const Found found = SkipSpace();
    if (found != Found::kYes) return found;
    if (text_[at_] != '"') return Found::kNo;
    for (size_t end = at_ + 1; end < text_.size(); ++end) {
      if (text_[end] == '\\') {
        ++end;
      } else if (text_[end] == '"') {
        const Result<Json> parsed = ParseJson(text_.substr(at_, end + 1 - at_));
        if (!parsed.has_value()) return Found::kNo;
        *out = parsed->get<std::string>();
        at_ = end + 1;
        return Found::kYes;
      }
    }
    return Found::kNotYet;
  }

 private:
  Found SkipSpace() {
    at_ = text_.find_first_not_of(kSpace, at_);
    if (at_ == std::string_view::npos) at_ = text_.size();
    return at_ < text_.size() ? Found::kYes : Found::kNotYet;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

ToolCallHead ReadToolCallHead(std::string_view text) {
  Front front(text);
  ToolCallHead head;
  for (const std::string_view word : {"{", "\"name\"", ":"}) {
    head.found = front.Take(word);
    if (head.found != Found::kYes) return head;
  }
  head.found = front.TakeString(&head.name);
  if (head.found == Found::kYes) head.found = front.Take(",");
  if (head.found != Found::kYes) return head;
  Front other = front;
  head.found = front.Take("\"arguments\"");
  if (head.found == Found::kNo) {
    front = other;
    head.found = front.Take("\"parameters\"");
  }
  if (head.found == Found::kYes) head.found = front.Take(":");
  if (head.found == Found::kYes) head.found = front.Take("{");
  if (head.found == Found::kYes) head.arguments = front.at() - 1;
  return head;
}

size_t JsonObjectEnd::Feed(std::string_view piece) {
  for (size_t i = 0; i < piece.size() && !at_end_; ++i) {
    const char c = piece[i];
    if (in_string_) {
      if (static_cast<unsigned char>(c) < 0x20) is_broken_ = true;
      if (is_escaped_) {
        is_escaped_ = false;
      } else if (c == '\\') {
        is_escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if ((c == '}' || c == ']') && --depth_ == 0) {
      at_end_ = true;
      return i + 1;
    }
    if (is_broken_) return i + 1;
  }
  return at_end_ ? 0 : piece.size();
}

}  // namespace weir
