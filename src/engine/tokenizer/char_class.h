// What a pre-tokenizer asks about a character: letter, number, white space, or none of them.
//
// Requires  text that is valid UTF-8; nothing here checks again
// Threads   any
// Source    Unicode general categories L*, M* and N*, property White_Space
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir {

enum class CharClass : uint8_t { kLetter, kNumber, kSpace, kOther, kEnd };

CharClass ClassOf(int32_t code_point);

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

// The character at text[position]; class kEnd behind the last one.
Character CharacterAt(std::string_view text, size_t position);

}  // namespace weir
