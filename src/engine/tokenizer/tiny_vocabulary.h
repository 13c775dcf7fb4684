// A vocabulary small enough to read, for tests: all 256 bytes, a few merges, three special tokens.
//
// Ids: byte b is id b; the merged tokens follow in the order of the merges; then the special tokens.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tokenizer/byte_alphabet.h"
#include "engine/tokenizer/tokenizer_parts.h"

namespace weir {

// Merges are pairs of byte strings, earliest first.
inline TokenizerParts TinyVocabulary(
    std::string_view pre_tokenizer,
    std::initializer_list<std::pair<std::string_view, std::string_view>> merges = {}) {
  TokenizerParts parts;
  parts.pre_tokenizer = pre_tokenizer;
  const auto add = [&](std::string text, TokenType type) {
    parts.tokens.push_back(std::move(text));
    parts.types.push_back(type);
  };
  for (int byte = 0; byte < 256; ++byte) {
    add(SpellBytes(std::string(1, static_cast<char>(byte))), TokenType::kNormal);
  }
  for (const auto& [left, right] : merges) {
    add(SpellBytes(left) + SpellBytes(right), TokenType::kNormal);
    parts.merges.push_back(SpellBytes(left) + " " + SpellBytes(right));
  }
  for (const char* special : {"<|im_start|>", "<|im_end|>", "<|endoftext|>"})
    add(special, TokenType::kControl);
  parts.bos = parts.tokens.size() - 3;
  parts.eos = parts.tokens.size() - 2;
  return parts;
}

// In which runs of each character that hostile texts repeat merge several times over, as they do in real vocabularies.
inline TokenizerParts TinyVocabularyOfRuns(std::string_view pre_tokenizer) {
  return TinyVocabulary(pre_tokenizer, {{"a", "a"},
                                        {" ", " "},
                                        {"\xCC", "\x81"},
                                        {"\xE4", "\xB8"},
                                        {"\xE4\xB8", "\xAD"},
                                        {"aa", "aa"},
                                        {"  ", "  "},
                                        {"\xCC\x81", "\xCC\x81"},
                                        {"\xE4\xB8\xAD", "\xE4\xB8\xAD"},
                                        {"aaaa", "aaaa"},
                                        {"    ", "    "},
                                        {"        ", " "},
                                        {"aaaaaaaa", "a"}});
}

}  // namespace weir
