#include "engine/tokenizer/pre_tokenizer.h"

#include <fmt/format.h>

#include <string>

#include "base/utf8.h"
#include "engine/tokenizer/char_class.h"

namespace weir {
namespace {

// Reads characters; `kDigitsEnd` makes a number look like the end of the text, for patterns that cut numbers
// out before anything else sees them.
template <bool kDigitsEnd>
Character Peek(std::string_view text, size_t position) {
  const Character out = CharacterAt(text, position);
  if (kDigitsEnd && out.char_class == CharClass::kNumber) return Character{};
  return out;
}

template <bool kDigitsEnd>
size_t RunEnd(std::string_view text, size_t position, CharClass wanted) {
  while (true) {
    const Character character = Peek<kDigitsEnd>(text, position);
    if (character.char_class != wanted) return position;
    position += character.bytes;
  }
}

bool IsNewline(int32_t code_point) { return code_point == '\n' || code_point == '\r'; }

// 's 't 're 've 'm 'll 'd. Bytes of the contraction with its apostrophe, or 0.
template <bool kIgnoreCase>
size_t ContractionBytes(std::string_view text, size_t position) {
  if (text[position] != '\'') return 0;
  const auto lower = [&](size_t i) -> char {
    if (position + i >= text.size()) return '\0';
    const char letter = text[position + i];
    return kIgnoreCase && letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  };
  switch (lower(1)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return lower(2) == 'e' ? 3 : 0;
    case 'l':
      return lower(2) == 'l' ? 3 : 0;
    default:
      // U+017F, the long s, is an s without regard to case.
      return kIgnoreCase && text.substr(position + 1).starts_with("\xC5\xBF") ? 3 : 0;
  }
}

// \s+(?!\S)|\s+ : white space leaves its last character to a word that follows.
template <bool kDigitsEnd>
size_t SpaceRunEnd(std::string_view text, size_t position) {
  size_t last = position;
  size_t end = position;
  while (true) {
    const Character character = Peek<kDigitsEnd>(text, end);
    if (character.char_class != CharClass::kSpace) {
      if (character.char_class == CharClass::kEnd || last == position) return end;
      return last;
    }
    last = end;
    end += character.bytes;
  }
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
template <bool kDigitsEnd>
size_t Gpt2PieceEnd(std::string_view text, size_t position) {
  if (const size_t bytes = ContractionBytes<false>(text, position); bytes > 0) return position + bytes;
  const size_t word = text[position] == ' ' ? position + 1 : position;
  const Character first = Peek<kDigitsEnd>(text, word);
  if (first.char_class != CharClass::kSpace && first.char_class != CharClass::kEnd) {
    return RunEnd<kDigitsEnd>(text, word, first.char_class);
  }
  return SpaceRunEnd<kDigitsEnd>(text, position);
}

// Each number character alone, then the GPT-2 pattern inside what lies between.
size_t SmollmPieceEnd(std::string_view text, size_t position) {
  const Character first = CharacterAt(text, position);
  if (first.char_class == CharClass::kNumber) return position + first.bytes;
  return Gpt2PieceEnd<true>(text, position);
}

// \p{N}{1,K}, of which the first is known.
template <int kNumberLength>
size_t NumberEnd(std::string_view text, size_t end) {
  for (int i = 1; i < kNumberLength; ++i) {
    const Character next = CharacterAt(text, end);
    if (next.char_class != CharClass::kNumber) break;
    end += next.bytes;
  }
  return end;
}

//  ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ with a slash among the line breaks where the pattern has one there.
template <bool kSlashes>
size_t BetweenWordsEnd(std::string_view text, size_t position, const Character& first) {
  const size_t word = first.code_point == ' ' ? position + first.bytes : position;
  if (CharacterAt(text, word).char_class == CharClass::kOther) {
    size_t end = RunEnd<false>(text, word, CharClass::kOther);
    while (end < text.size() && (IsNewline(text[end]) || (kSlashes && text[end] == '/'))) ++end;
    return end;
  }
  // White space: up to its last line break if there is one.
  size_t behind_newline = position;
  for (size_t end = position;;) {
    const Character character = CharacterAt(text, end);
    if (character.char_class != CharClass::kSpace) break;
    end += character.bytes;
    if (IsNewline(character.code_point)) behind_newline = end;
  }
  return behind_newline > position ? behind_newline : SpaceRunEnd<false>(text, position);
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,K}|
// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <int kNumberLength>
size_t Llama3PieceEnd(std::string_view text, size_t position) {
  if (const size_t bytes = ContractionBytes<true>(text, position); bytes > 0) return position + bytes;
  const Character first = CharacterAt(text, position);
  if (first.char_class == CharClass::kLetter) return RunEnd<false>(text, position, CharClass::kLetter);
  const size_t behind = position + first.bytes;
  if (first.char_class == CharClass::kNumber) return NumberEnd<kNumberLength>(text, behind);
  if (!IsNewline(first.code_point) && CharacterAt(text, behind).char_class == CharClass::kLetter) {
    return RunEnd<false>(text, behind, CharClass::kLetter);
  }
  return BetweenWordsEnd<false>(text, position, first);
}

// With U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and l = [\p{Ll}\p{Lm}\p{Lo}\p{M}]. U*l+ takes all of U first and gives back
// to the last character that is in both where nothing of l alone follows.
struct CasedWord {
  size_t lower_end = 0;  // of U*l+, 0 if that does not match
  size_t upper_end = 0;  // of U*
};

CasedWord CasedWordAt(std::string_view text, size_t position) {
  CasedWord word;
  while (true) {
    const Character character = CharacterAt(text, position);
    const LetterCase letter_case = CaseOf(character.code_point);
    if (letter_case != LetterCase::kUpper && letter_case != LetterCase::kEither) {
      word.upper_end = position;
      if (letter_case != LetterCase::kLower) return word;
      break;
    }
    position += character.bytes;
    if (letter_case == LetterCase::kEither) word.lower_end = position;
  }
  while (true) {
    const Character character = CharacterAt(text, position);
    const LetterCase letter_case = CaseOf(character.code_point);
    if (letter_case != LetterCase::kLower && letter_case != LetterCase::kEither) break;
    position += character.bytes;
  }
  word.lower_end = position;
  return word;
}

// [^\r\n\p{L}\p{N}]?U*l+ or else [^\r\n\p{L}\p{N}]?U+l*, 0 if neither matches.
size_t PrefixedWordEnd(std::string_view text, size_t position, const Character& first) {
  const bool is_letter = first.char_class == CharClass::kLetter;
  if (is_letter) {
    const CasedWord word = CasedWordAt(text, position);
    return word.lower_end > 0 ? word.lower_end : word.upper_end;
  }
  if (first.char_class == CharClass::kNumber || IsNewline(first.code_point)) return 0;
  const size_t behind = position + first.bytes;
  const CasedWord word = CasedWordAt(text, behind);
  if (word.lower_end > 0) return word.lower_end;
  // A mark is prefix or word.
  if (CaseOf(first.code_point) == LetterCase::kEither) return behind;
  return word.upper_end > behind ? word.upper_end : 0;
}

// PREFIX?U*l+CONTRACTION?|PREFIX?U+l*CONTRACTION?|\p{N}{1,K}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <int kNumberLength, bool kContractions>
size_t CasedPieceEnd(std::string_view text, size_t position) {
  const Character first = CharacterAt(text, position);
  if (const size_t end = PrefixedWordEnd(text, position, first); end > 0) {
    return kContractions && end < text.size() ? end + ContractionBytes<true>(text, end) : end;
  }
  if (first.char_class == CharClass::kNumber) return NumberEnd<kNumberLength>(text, position + first.bytes);
  return BetweenWordsEnd<true>(text, position, first);
}

}  // namespace

struct PreTokenizerRow {
  std::string_view name;
  size_t (*piece_end)(std::string_view text, size_t position);
  bool whole_piece_first;
  bool bos_by_default;
  bool composes = false;

  PreTokenizer Make() const {
    PreTokenizer out;
    out.piece_end_ = piece_end;
    out.whole_piece_first_ = whole_piece_first;
    out.bos_by_default_ = bos_by_default;
    out.composes_ = composes;
    return out;
  }
};

namespace {

constexpr PreTokenizerRow kRows[] = {
    {"default", Gpt2PieceEnd<false>, false, false},   {"gpt-2", Gpt2PieceEnd<false>, false, false},
    {"llama-bpe", Llama3PieceEnd<3>, true, true},     {"qwen2", Llama3PieceEnd<1>, false, false, true},
    {"smollm", SmollmPieceEnd, false, false},         {"llama3", Llama3PieceEnd<3>, true, true},
    {"llama-v3", Llama3PieceEnd<3>, true, true},      {"dbrx", Llama3PieceEnd<3>, false, false},
    {"smaug-bpe", Llama3PieceEnd<3>, false, false},   {"tekken", CasedPieceEnd<1, false>, true, true},
    {"gpt-4o", CasedPieceEnd<3, true>, false, false}, {"phi-2", Gpt2PieceEnd<false>, false, false},
};

}  // namespace

Result<PreTokenizer> PreTokenizer::Find(std::string_view name) {
  std::string known;
  for (const PreTokenizerRow& row : kRows) {
    if (row.name == name) return row.Make();
    known += known.empty() ? "" : ", ";
    known += row.name;
  }
  return Unimplemented(
      fmt::format("tokenizer.ggml.pre names the pre-tokenizer \"{}\", which weir lacks; known: {}. Use a "
                  "model with one of these",
                  QuoteForMessage(name), known));
}

}  // namespace weir
