// Cuts text into the pieces whose scores have the highest sum: a Unigram vocabulary.
//
// Requires  valid UTF-8
// Threads   immutable after the last Add(); any thread
// Source    docs/TOKENIZER.md, "Unigram"
//
// Time is the text's length times the longest piece's, which Vocabulary bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "engine/tokenizer/piece_trie.h"

namespace weir {

class Unigram {
 public:
  struct Cut {
    size_t begin = 0;
    size_t end = 0;
    int32_t id = -1;  // -1: characters that no piece covers, neighbouring ones together
  };

  void Add(std::string_view piece, int32_t id, double score);
  void Segment(std::string_view text, std::vector<Cut>* cuts) const;

 private:
  struct Piece {
    int32_t id;
    double score;
  };

  PieceTrie trie_;
  std::vector<Piece> pieces_;
  double lowest_score_ = std::numeric_limits<double>::infinity();
};

}  // namespace weir
