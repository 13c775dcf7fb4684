#include "engine/tokenizer/spelling.h"

#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/space_spelling.h"
#include "engine/tokenizer/unicode_nfc.h"

namespace weir {
namespace {

bool Goes(const Character& character, Trim trim) {
  if (trim == Trim::kSpaces) return character.code_point == ' ';
  return trim == Trim::kWhiteSpace && character.char_class == CharClass::kSpace;
}

std::string_view TrimEnds(std::string_view text, Trim left, Trim right) {
  size_t begin = 0;
  while (begin < text.size()) {
    const Character character = CharacterAt(text, begin);
    if (!Goes(character, left)) break;
    begin += static_cast<size_t>(character.bytes);
  }
  size_t end = begin;
  for (size_t position = begin; position < text.size();) {
    const Character character = CharacterAt(text, position);
    position += static_cast<size_t>(character.bytes);
    if (!Goes(character, right)) end = position;
  }
  return text.substr(begin, end - begin);
}

std::string CollapseSpaces(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text)
    if (c != ' ' || !out.ends_with(' ')) out += c;
  return out;
}

}  // namespace

std::string Spelling::Compose(std::string_view text) const {
  return composes && !IsAscii(text) ? ComposeUtf8(text) : std::string(text);
}

std::string Spelling::Rewrite(std::string_view text) const {
  std::string out = Compose(text);
  if (charsmap.has_value()) out = charsmap->Apply(out, charsmap_match);
  if (trims_left != Trim::kNothing || trims_right != Trim::kNothing)
    out = std::string(TrimEnds(out, trims_left, trims_right));
  return collapses_spaces ? CollapseSpaces(out) : out;
}

void Spelling::ForEachWord(std::string_view text, bool begins,
                           const std::function<void(const std::string& word)>& word) const {
  const std::string rewritten = Rewrite(text);
  if (!splits_at_white_space) return SpellWord(rewritten, begins, word);
  size_t begin = 0;
  for (size_t position = 0; position < rewritten.size();) {
    const Character character = CharacterAt(rewritten, position);
    const size_t behind = position + static_cast<size_t>(character.bytes);
    if (character.char_class == CharClass::kSpace) {
      SpellWord(std::string_view(rewritten).substr(begin, position - begin), begins && begin == 0, word);
      begin = behind;
    }
    position = behind;
  }
  SpellWord(std::string_view(rewritten).substr(begin), begins && begin == 0, word);
}

void Spelling::SpellWord(std::string_view text, bool begins,
                         const std::function<void(const std::string& word)>& word) const {
  if (text.empty()) return;
  std::string spelled = SpellSpaces(text);
  const bool wanted = prefix == SpacePrefix::kEvery || (prefix == SpacePrefix::kFirst && begins);
  if (wanted && !(prefix_unless_there && spelled.starts_with(kSpelledSpace)))
    spelled.insert(0, kSpelledSpace);
  if (!splits_words) return word(spelled);
  for (size_t begin = 0; begin < spelled.size();) {
    const size_t end = std::min(spelled.find(kSpelledSpace, begin + 1), spelled.size());
    word(spelled.substr(begin, end - begin));
    begin = end;
  }
}

}  // namespace weir
