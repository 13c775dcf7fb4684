// What a tokenizer is asked once a file has made it through: encoding and decoding of a text with a bit of everything.
#pragma once

#include <cstdlib>

#include "engine/gguf/model_file.h"
#include "engine/tokenizer/tokenizer.h"

namespace weir {

inline void ExerciseTokenizer(const ModelFile& file) {
  const auto tokenizer = Tokenizer::Create(file);
  if (!tokenizer.has_value()) return;
  const std::string text =
      "Hello  world, it's 1234\n\n\xC3\xA9\xCC\x81 \xE4\xB8\xAD\xE6\x96\x87 \xF0\x9F\x99\x82 <s></s> "
      "<|im_end|> \xE2\x96\x81 aaaaaaaaaaaa "
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
  for (const auto special : {SpecialTokens::kAsText, SpecialTokens::kParse}) {
    const auto ids = (*tokenizer)->Encode(text, special, true);
    if (!ids.has_value()) std::abort();  // the text is UTF-8 and short
    for (const TokenId id : *ids)
      if (id < 0 || id >= (*tokenizer)->vocab_size()) std::abort();
    (void)(*tokenizer)->Decode(*ids, special == SpecialTokens::kParse);
  }
}

}  // namespace weir
