// What happens to a text of a vocabulary of characters before it is cut into tokens: which characters are rewritten, which
// spaces go, and how those that stay are spelled.
//
// Requires  valid UTF-8
// Threads   immutable; any thread
// Source    docs/TOKENIZER.md, "Encoding"
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "engine/tokenizer/charsmap.h"

namespace weir {

// Where a vocabulary expects a space that nobody wrote.
enum class SpacePrefix {
  kNone,
  kFirst,
  kEvery
};  // before the text, before every stretch between special tokens

enum class Trim { kNothing, kSpaces, kWhiteSpace };

// In the order in which they apply.
struct Spelling {
  bool composes = false;  // into NFC
  std::optional<Charsmap> charsmap{};
  Charsmap::Match charsmap_match = Charsmap::Match::kLongest;
  Trim trims_left = Trim::kNothing;
  Trim trims_right = Trim::kNothing;
  bool collapses_spaces = false;       // several in a row become one
  bool splits_at_white_space = false;  // which is dropped; the prefix is put before every word
  SpacePrefix prefix = SpacePrefix::kNone;
  bool prefix_unless_there = false;  // no second space before one
  bool splits_words = false;         // tokens never reach over the begin of a word
  bool drops_first_spaces = false;   // decoding drops all spaces of the first token, not one

  // Composed only: what byte-level vocabularies do with a text.
  std::string Compose(std::string_view text) const;
  // Calls `word` with each spelled stretch that tokens may not cross. `begins`: no text is before it.
  void ForEachWord(std::string_view text, bool begins,
                   const std::function<void(const std::string& word)>& word) const;

 private:
  std::string Rewrite(std::string_view text) const;
  void SpellWord(std::string_view text, bool begins,
                 const std::function<void(const std::string& word)>& word) const;
};

}  // namespace weir
