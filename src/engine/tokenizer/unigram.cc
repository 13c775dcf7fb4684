#include "engine/tokenizer/unigram.h"

#include <algorithm>

#include "base/utf8.h"

namespace weir {
namespace {

// How much worse than the worst piece a character without one is.
constexpr double kUnknownPenalty = 10.0;

std::vector<int32_t> CharactersOf(std::string_view text) {
  std::vector<int32_t> characters;
  characters.reserve(text.size());
  for (size_t position = 0; position < text.size();) characters.push_back(NextCodePoint(text, &position));
  return characters;
}

size_t Utf8Bytes(int32_t character) {
  return character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
}

// The best way to reach a place of the text.
struct Best {
  double score = 0;
  uint32_t length = 0;  // of the piece that ends there, in characters; 0: not reached yet
  int32_t id = -1;

  // Of equal ways the first found stays.
  void Offer(double other, uint32_t piece_length, int32_t with) {
    if (length == 0 || other > score) *this = {other, piece_length, with};
  }
};

}  // namespace

void Unigram::Add(std::string_view piece, int32_t id, double score) {
  trie_.Add(CharactersOf(piece), static_cast<int32_t>(pieces_.size()));
  pieces_.push_back({id, score});
  lowest_score_ = std::min(lowest_score_, score);
}

void Unigram::Segment(std::string_view text, std::vector<Cut>* cuts) const {
  cuts->clear();
  const std::vector<int32_t> characters = CharactersOf(text);
  const double unknown_score = (pieces_.empty() ? 0.0 : lowest_score_) - kUnknownPenalty;
  std::vector<Best> best(characters.size() + 1);
  for (size_t begin = 0; begin < characters.size(); ++begin) {
    const double score = best[begin].score;
    uint32_t node = PieceTrie::kRoot;
    bool has_piece = false;  // of this character alone
    for (size_t end = begin; end < characters.size();) {
      node = trie_.Next(node, characters[end]);
      if (node == PieceTrie::kNowhere) break;
      ++end;
      if (trie_.value(node) < 0) continue;
      has_piece = has_piece || end == begin + 1;
      const Piece& piece = pieces_[static_cast<size_t>(trie_.value(node))];
      best[end].Offer(score + piece.score, static_cast<uint32_t>(end - begin), piece.id);
    }
    if (!has_piece) best[begin + 1].Offer(score + unknown_score, 1, -1);
  }
  size_t end_byte = text.size();
  for (size_t end = characters.size(); end > 0; end -= best[end].length) {
    const Best& step = best[end];
    size_t begin_byte = end_byte;
    for (size_t i = end - step.length; i < end; ++i) begin_byte -= Utf8Bytes(characters[i]);
    if (step.id < 0 && !cuts->empty() && cuts->back().id < 0) {
      cuts->back().begin = begin_byte;
    } else {
      cuts->push_back({begin_byte, end_byte, step.id});
    }
    end_byte = begin_byte;
  }
  std::reverse(cuts->begin(), cuts->end());
}

}  // namespace weir
