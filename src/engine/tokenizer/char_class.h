// What a pre-tokenizer asks about a character: letter, number, white space, or none of them.
//
// Requires  text that is valid UTF-8; nothing here checks again
// Threads   any
// Source    Unicode general categories L*, M* and N*, property White_Space
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir {

enum class CharClass : uint8_t { kLetter, kNumber, kSpace, kOther, kEnd };

// By the tables of Unicode.
CharClass ClassBeyondAscii(int32_t code_point);

constexpr CharClass AsciiClass(int32_t code_point) {
  if ((code_point >= 'a' && code_point <= 'z') || (code_point >= 'A' && code_point <= 'Z'))
    return CharClass::kLetter;
  if (code_point >= '0' && code_point <= '9') return CharClass::kNumber;
  return (code_point >= '\t' && code_point <= '\r') || code_point == ' ' ? CharClass::kSpace
                                                                         : CharClass::kOther;
}

// Every character of a text is asked for it, some of them twice.
inline CharClass ClassOf(int32_t code_point) {
  static constexpr std::array<CharClass, 128> kAscii = [] {
    std::array<CharClass, 128> classes{};
    for (int32_t i = 0; i < 128; ++i) classes[static_cast<size_t>(i)] = AsciiClass(i);
    return classes;
  }();
  return code_point >= 0 && code_point < 128 ? kAscii[static_cast<size_t>(code_point)]
                                             : ClassBeyondAscii(code_point);
}

// How a character stands in a word of which patterns tell capitals apart. Marks belong to words here, although they
// are no letters.
enum class LetterCase : uint8_t {
  kUpper,   // Lu, Lt
  kLower,   // Ll
  kEither,  // Lm, Lo, M*: counts as both
  kNone
};

LetterCase CaseOf(int32_t code_point);

struct Character {
  int32_t code_point = -1;
  int bytes = 0;
  CharClass char_class = CharClass::kEnd;
};

Character CharacterBeyondAscii(std::string_view text, size_t position);

// The character at text[position]; class kEnd behind the last one.
inline Character CharacterAt(std::string_view text, size_t position) {
  if (position >= text.size()) return Character{};
  const auto first = static_cast<uint8_t>(text[position]);
  if (first >= 0x80) return CharacterBeyondAscii(text, position);
  return {first, 1, ClassOf(first)};
}

}  // namespace weir
