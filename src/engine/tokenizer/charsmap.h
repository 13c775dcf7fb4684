// The table by which SentencePiece models rewrite characters before anything else ("precompiled charsmap").
//
// Errors    Create: DATA_LOSS for bytes that are no such table
// Requires  Apply: valid UTF-8
// Threads   immutable; any thread
// Source    docs/TOKENIZER.md, "Unigram"
//
// Layout: uint32 size of the trie in bytes, its units (a double array of little-endian uint32), then the replacements, each
// ended by NUL. What the trie gives is a replacement's place. A unit is believed only as far as the table reaches.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir {

class Charsmap {
 public:
  // Which rewriting rule wins.
  enum class Match {
    kLongest,  // SentencePiece: the longest that begins at the character
    kPerGrapheme,  // `tokenizers`: the shortest that begins a grapheme, which it replaces as a whole if that is short
  };

  static Result<Charsmap> Create(std::string bytes);
  std::string Apply(std::string_view text, Match match) const;

 private:
  struct Found {
    size_t bytes;  // of the text
    std::string_view replacement;
  };
  std::optional<Found> Find(std::string_view text, bool longest) const;
  std::optional<std::string_view> ReplacementAt(uint32_t place) const;
  void ApplyToGrapheme(std::string_view grapheme, std::string* out) const;

  void FindAscii();

  std::vector<uint32_t> units_;
  std::array<std::optional<std::string>, 128> ascii_;  // what replaces each, by itself
  std::string replacements_;
};

}  // namespace weir
