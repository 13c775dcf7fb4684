#include "engine/tokenizer/detokenizer.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace weir {

Detokenizer::Detokenizer(const Tokenizer& tokenizer, std::vector<std::string> stop_strings, bool skip_special)
    : tokenizer_(tokenizer), stops_(std::move(stop_strings)), skip_special_(skip_special) {
  // An empty stop string would match before the first character.
  std::erase(stops_, std::string());
}

std::string Detokenizer::Add(TokenId id) {
  if (stopped_) return "";
  pending_bytes_ += tokenizer_.TokenBytes(id, skip_special_);
  const size_t whole = CompleteUtf8Prefix(pending_bytes_);
  held_text_ += ReplaceInvalidUtf8(std::string_view(pending_bytes_).substr(0, whole));
  pending_bytes_.erase(0, whole);
  return Release(false);
}

std::string Detokenizer::Finish() {
  if (stopped_) return "";
  held_text_ += ReplaceInvalidUtf8(pending_bytes_);
  pending_bytes_.clear();
  return Release(true);
}

std::string Detokenizer::Release(bool final) {
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t found = held_text_.find(stop);
    if (found < first) {
      first = found;
      matched_stop_ = stop;
    }
  }
  if (first != std::string::npos) {
    stopped_ = true;
    std::string text = held_text_.substr(0, first);
    held_text_.clear();
    pending_bytes_.clear();
    return text;
  }
  // Keep the longest end that begins a stop string: it may become one with the next token.
  size_t keep = 0;
  if (!final) {
    for (const std::string& stop : stops_) {
      for (size_t length = std::min(stop.size() - 1, held_text_.size()); length > keep; --length) {
        if (std::string_view(held_text_).ends_with(std::string_view(stop).substr(0, length))) keep = length;
      }
    }
  }
  std::string text = held_text_.substr(0, held_text_.size() - keep);
  held_text_.erase(0, text.size());
  return text;
}

}  // namespace weir
