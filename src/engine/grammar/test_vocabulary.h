// For tests: every byte, and longer tokens that cross the borders of JSON's parts.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/grammar/grammar_vocabulary.h"

namespace weir {

// Token 256 is empty, as control tokens are. `missing` bytes have no token.
inline std::shared_ptr<const GrammarVocabulary> TestVocabulary(std::string_view missing = "") {
  static const std::vector<std::string> longer = {"{\"",
                                                  "\":",
                                                  "\": ",
                                                  "\",",
                                                  "\", ",
                                                  "\"}",
                                                  "\"]",
                                                  "]}",
                                                  "}}",
                                                  "},",
                                                  "],",
                                                  "{}",
                                                  "[]",
                                                  "[[",
                                                  "[{",
                                                  "  ",
                                                  "\n  ",
                                                  "true",
                                                  "false",
                                                  "null",
                                                  "tr",
                                                  "ue",
                                                  "12",
                                                  "345",
                                                  "-1",
                                                  ".5",
                                                  "0.",
                                                  "e+",
                                                  "1e",
                                                  "\\\"",
                                                  "\\\\",
                                                  "\\u00",
                                                  "ab",
                                                  "abc",
                                                  "name",
                                                  "\"name\":",
                                                  "the ",
                                                  "\xC3\xA9",
                                                  "\xE2\x82",
                                                  "\xE2\x82\xAC",
                                                  "\xF0\x9F\x98\x80",
                                                  "a\"",
                                                  "a\":",
                                                  "b\",\"",
                                                  "1,",
                                                  "1]",
                                                  "2}",
                                                  "\"]}",
                                                  "\n",
                                                  ", ",
                                                  ": ",
                                                  "[1",
                                                  "<tool_call>",
                                                  "aaaa",
                                                  "aaaaaaaa"};
  static const std::string bytes = [] {
    std::string out;
    for (int byte = 0; byte < 256; ++byte) out += static_cast<char>(byte);
    return out;
  }();
  std::vector<std::string_view> texts;
  for (size_t byte = 0; byte < 256; ++byte) {
    const std::string_view text = std::string_view(bytes).substr(byte, 1);
    texts.push_back(missing.find(text[0]) == std::string_view::npos ? text : std::string_view());
  }
  texts.emplace_back();
  for (const std::string& text : longer) texts.emplace_back(text);
  return GrammarVocabulary::Create(std::move(texts));
}

}  // namespace weir
