// Cuts text into the pieces inside which byte pairs may merge, by the pattern that a vocabulary was trained
// with.
//
// Requires  valid UTF-8
// Errors    Find: UNIMPLEMENTED for an unknown name; the message lists the known ones
// Threads   a value
// Source    docs/TOKENIZER.md, "Pre-tokenizers": each pattern as a regular expression
//
// Scanned by hand rather than by a regular expression engine: every character is looked at a bounded number
// of times, so no text can be slow and no match limit exists that a text could reach.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"

namespace weir {

class PreTokenizer {
 public:
  static Result<PreTokenizer> Find(std::string_view name);

  // End of the piece that starts at text[position]; position < text.size().
  size_t PieceEnd(std::string_view text, size_t position) const { return piece_end_(text, position); }
  // A whole piece that is a token skips the merges.
  bool whole_piece_first() const { return whole_piece_first_; }
  // Whether text is brought into NFC first.
  bool composes() const { return composes_; }
  // Whether models with this pre-tokenizer begin with bos unless the file says otherwise.
  bool bos_by_default() const { return bos_by_default_; }

 private:
  using PieceEndFunction = size_t (*)(std::string_view text, size_t position);

  PieceEndFunction piece_end_ = nullptr;
  bool whole_piece_first_ = false;
  bool bos_by_default_ = false;
  bool composes_ = false;

  friend struct PreTokenizerRow;
};

}  // namespace weir
