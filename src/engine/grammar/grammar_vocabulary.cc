#include "engine/grammar/grammar_vocabulary.h"

#include <utility>

namespace weir {

std::shared_ptr<const GrammarVocabulary> GrammarVocabulary::Create(
    std::vector<std::string_view> token_texts) {
  auto out = std::make_shared<GrammarVocabulary>();
  out->texts = std::move(token_texts);
  std::vector<std::pair<std::string_view, int32_t>> pairs;
  pairs.reserve(out->texts.size());
  for (size_t i = 0; i < out->texts.size(); ++i) {
    const std::string_view text = out->texts[i];
    pairs.emplace_back(text, static_cast<int32_t>(i));
    if (text.find('"') != std::string_view::npos) out->with_quotes.push_back(static_cast<int32_t>(i));
    if (text.size() == 1) out->single_bytes.set(static_cast<uint8_t>(text[0]));
  }
  out->trie = TokenTrie::Build(std::move(pairs));
  return out;
}

}  // namespace weir
