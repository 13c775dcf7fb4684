#include "engine/grammar/token_trie.h"

#include <algorithm>

namespace weir {
namespace {

constexpr size_t kMaxTokenBytes = 65535;  // what a node's depth can hold

}  // namespace

TokenTrie TokenTrie::Build(std::vector<std::pair<std::string_view, int32_t>> texts) {
  std::erase_if(texts,
                [](const auto& one) { return one.first.empty() || one.first.size() > kMaxTokenBytes; });
  // char may be signed; string_view compares bytes as unsigned, which is all the order that is needed.
  std::sort(texts.begin(), texts.end());
  TokenTrie trie;
  trie.tokens_.reserve(texts.size());
  std::vector<int32_t> path;  // nodes of the text before
  std::string_view before;
  const auto leave = [&](size_t depth) {
    while (path.size() > depth) {
      trie.nodes_[path.back()].end = static_cast<int32_t>(trie.nodes_.size());
      path.pop_back();
    }
  };
  for (const auto& [text, token] : texts) {
    const auto differ = std::mismatch(before.begin(), before.end(), text.begin(), text.end());
    leave(static_cast<size_t>(differ.first - before.begin()));
    for (size_t i = path.size(); i < text.size(); ++i) {
      path.push_back(static_cast<int32_t>(trie.nodes_.size()));
      trie.nodes_.push_back({.depth = static_cast<uint16_t>(i + 1), .byte = static_cast<uint8_t>(text[i])});
    }
    Node& node = trie.nodes_[path.back()];
    if (node.num_tokens == 0) node.first_token = static_cast<int32_t>(trie.tokens_.size());
    ++node.num_tokens;
    trie.tokens_.push_back(token);
    trie.max_depth_ = std::max(trie.max_depth_, static_cast<int>(text.size()));
    before = text;
  }
  leave(0);
  return trie;
}

}  // namespace weir
