#include "engine/tokenizer/jinja_text.h"

#include <algorithm>
#include <utility>

namespace weir {

JinjaText::JinjaText(std::string text, bool from_template) : text_(std::move(text)) {
  if (!text_.empty()) runs_.push_back({text_.size(), from_template});
}

void JinjaText::Append(std::string_view text, bool from_template) {
  if (text.empty()) return;
  text_ += text;
  if (!runs_.empty() && runs_.back().from_template == from_template) {
    runs_.back().bytes += text.size();
  } else {
    runs_.push_back({text.size(), from_template});
  }
}

void JinjaText::Append(const JinjaText& other) {
  std::string_view rest = other.text_;
  for (const Run& run : other.runs_) {
    Append(rest.substr(0, run.bytes), run.from_template);
    rest.remove_prefix(run.bytes);
  }
}

JinjaText JinjaText::Substr(size_t begin, size_t bytes) const {
  JinjaText out;
  begin = std::min(begin, text_.size());
  const size_t end = begin + std::min(bytes, text_.size() - begin);
  size_t run_begin = 0;
  for (const Run& run : runs_) {
    const size_t from = std::max(run_begin, begin);
    const size_t to = std::min(run_begin + run.bytes, end);
    if (from < to) out.Append(std::string_view(text_).substr(from, to - from), run.from_template);
    run_begin += run.bytes;
    if (run_begin >= end) break;
  }
  return out;
}

}  // namespace weir
