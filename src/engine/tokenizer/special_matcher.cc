#include "engine/tokenizer/special_matcher.h"

namespace weir {

void SpecialMatcher::Add(std::string_view text, int32_t id) {
  if (text.empty()) return;
  int32_t node = 0;
  for (const char byte : text) {
    const auto [child, added] = nodes_[node].children.emplace(byte, static_cast<int32_t>(nodes_.size()));
    const int32_t next = child->second;
    if (added) {
      if (node == 0) first_[static_cast<uint8_t>(byte)] = next;
      nodes_.emplace_back();
    }
    node = next;
  }
  if (nodes_[node].id < 0) nodes_[node].id = id;
}

SpecialMatcher::Match SpecialMatcher::Find(std::string_view text, size_t position) const {
  if (empty()) return {};
  for (; position < text.size(); ++position) {
    int32_t node = first_[static_cast<uint8_t>(text[position])];
    Match match;
    for (size_t end = position + 1; node != 0; ++end) {
      if (nodes_[node].id >= 0) match = {position, end - position, nodes_[node].id};
      if (end == text.size()) break;
      const auto child = nodes_[node].children.find(text[end]);
      node = child == nodes_[node].children.end() ? 0 : child->second;
    }
    if (match.bytes > 0) return match;
  }
  return {};
}

}  // namespace weir
