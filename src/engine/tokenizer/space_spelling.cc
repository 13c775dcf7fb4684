#include "engine/tokenizer/space_spelling.h"

namespace weir {

std::string SpellSpaces(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for (const char c : text) {
    if (c == ' ')
      out += kSpelledSpace;
    else
      out += c;
  }
  return out;
}

std::string SpacesOfSpelling(std::string_view spelling) {
  std::string out;
  for (size_t position = 0; position < spelling.size();) {
    const size_t found = spelling.find(kSpelledSpace, position);
    out += spelling.substr(position, found - position);
    if (found == std::string_view::npos) break;
    out += ' ';
    position = found + kSpelledSpace.size();
  }
  return out;
}

}  // namespace weir
