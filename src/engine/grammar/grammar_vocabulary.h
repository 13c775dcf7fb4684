// The texts of a model's tokens as grammars see them, made once per model.
//
// Requires  texts outlive it; the text of a token that is never output as text (control tokens) is empty
// Threads   immutable; any thread
#pragma once

#include <bitset>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/grammar/token_trie.h"

namespace weir {

struct GrammarVocabulary {
  static std::shared_ptr<const GrammarVocabulary> Create(std::vector<std::string_view> token_texts);

  std::vector<std::string_view> texts;
  TokenTrie trie;
  std::vector<int32_t> with_quotes;  // tokens that can end a key
  std::bitset<256> single_bytes;     // which a token of its own exists for

  int size() const { return static_cast<int>(texts.size()); }
  size_t mask_words() const { return (texts.size() + 63) / 64; }
};

}  // namespace weir
