#include "engine/tokenizer/char_class.h"

#include <utf8proc.h>

namespace weir {
namespace {

bool IsWhiteSpace(int32_t code_point) {
  return (code_point >= 0x09 && code_point <= 0x0D) || code_point == 0x20 || code_point == 0x85 ||
         code_point == 0xA0 || code_point == 0x1680 || (code_point >= 0x2000 && code_point <= 0x200A) ||
         code_point == 0x2028 || code_point == 0x2029 || code_point == 0x202F || code_point == 0x205F ||
         code_point == 0x3000;
}

}  // namespace

CharClass ClassBeyondAscii(int32_t code_point) {
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::kNumber;
    default:
      return IsWhiteSpace(code_point) ? CharClass::kSpace : CharClass::kOther;
  }
}

LetterCase CaseOf(int32_t code_point) {
  if (code_point >= 0 && code_point < 128) {
    if (code_point >= 'a' && code_point <= 'z') return LetterCase::kLower;
    return code_point >= 'A' && code_point <= 'Z' ? LetterCase::kUpper : LetterCase::kNone;
  }
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
      return LetterCase::kUpper;
    case UTF8PROC_CATEGORY_LL:
      return LetterCase::kLower;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return LetterCase::kEither;
    default:
      return LetterCase::kNone;
  }
}

Character CharacterBeyondAscii(std::string_view text, size_t position) {
  const auto byte = [&](size_t i) -> int32_t { return static_cast<uint8_t>(text[position + i]); };
  Character out;
  const int32_t first = byte(0);
  if (first < 0xE0) {
    out.code_point = ((first & 0x1F) << 6) | (byte(1) & 0x3F);
    out.bytes = 2;
  } else if (first < 0xF0) {
    out.code_point = ((first & 0x0F) << 12) | ((byte(1) & 0x3F) << 6) | (byte(2) & 0x3F);
    out.bytes = 3;
  } else {
    out.code_point =
        ((first & 0x07) << 18) | ((byte(1) & 0x3F) << 12) | ((byte(2) & 0x3F) << 6) | (byte(3) & 0x3F);
    out.bytes = 4;
  }
  out.char_class = ClassOf(out.code_point);
  return out;
}

}  // namespace weir
