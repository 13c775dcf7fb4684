#include "engine/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <unordered_set>
#include <utility>

#include "base/utf8.h"
#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/pre_tokenizer.h"
#include "engine/tokenizer/special_matcher.h"
#include "engine/tokenizer/tokenizer_parts.h"
#include "engine/tokenizer/vocabulary.h"

namespace weir {
namespace {

constexpr size_t kMaxTextBytes = std::numeric_limits<int32_t>::max();

Status TooLong(size_t bytes) {
  return InvalidArgument(
      fmt::format("text of {} bytes is too long to encode, at most {} are allowed", bytes, kMaxTextBytes));
}

Status CheckText(std::string_view text) {
  if (text.size() > kMaxTextBytes) return TooLong(text.size());
  for (size_t position = 0; position < text.size();) {
    const size_t start = position;
    if (NextCodePoint(text, &position) < 0) {
      return InvalidArgument(fmt::format("text is not valid UTF-8: byte 0x{:02x} at offset {}; send UTF-8",
                                         static_cast<uint8_t>(text[start]), start));
    }
  }
  return OkStatus();
}

}  // namespace

struct Tokenizer::State {
  Vocabulary vocabulary;
  PreTokenizer pre_tokenizer;
  bool add_bos = false;
  SpecialMatcher all_special;   // kParse
  SpecialMatcher user_defined;  // found in any text
  Spelling spelling{};
  bool whole_piece_first = false;
  bool fuses_unknown = false;
  std::unordered_set<TokenId> strips_left;
  std::unordered_set<TokenId> strips_right;

  void EncodePiece(std::string_view piece, std::vector<TokenId>* scratch, std::vector<TokenId>* ids) const {
    if (whole_piece_first) {
      if (const TokenId whole = vocabulary.FindBytes(piece); whole >= 0) {
        ids->push_back(whole);
        return;
      }
    }
    scratch->clear();
    for (const char byte : piece) {
      const TokenId id = vocabulary.ByteToken(static_cast<uint8_t>(byte));
      if (id >= 0) scratch->push_back(id);
    }
    vocabulary.merges().MergeAll(scratch);
    ids->insert(ids->end(), scratch->begin(), scratch->end());
  }

  // Neighbouring parts of a text with one answer to "may it name special tokens?".
  struct Region {
    size_t end = 0;
    bool parses = false;
  };

  // Cuts the text at the tokens that `matcher` finds and encodes what lies between them. `begins`: no text is before it.
  void EncodeBetween(std::string_view text, bool begins, const SpecialMatcher& matcher,
                     std::vector<TokenId>* ids) const {
    std::vector<TokenId> scratch;
    for (size_t position = 0; position < text.size();) {
      const SpecialMatcher::Match match = matcher.Find(text, position);
      const size_t end = match.bytes > 0 ? match.begin : text.size();
      EncodeStretch(StripLeft(text.substr(position, end - position), match), begins && position == 0,
                    &scratch, ids);
      if (match.bytes > 0) ids->push_back(match.id);
      position = StripRight(text, end + match.bytes, match);
    }
  }

  // What is left of the text before a token that takes the white space there.
  std::string_view StripLeft(std::string_view before, const SpecialMatcher::Match& match) const {
    if (match.bytes == 0 || !strips_left.contains(match.id)) return before;
    size_t end = 0;
    for (size_t position = 0; position < before.size();) {
      const Character character = CharacterAt(before, position);
      position += character.bytes;
      if (character.char_class != CharClass::kSpace) end = position;
    }
    return before.substr(0, end);
  }

  // Where the text goes on behind a token.
  size_t StripRight(std::string_view text, size_t behind, const SpecialMatcher::Match& match) const {
    if (match.bytes == 0 || !strips_right.contains(match.id)) return behind;
    while (behind < text.size()) {
      const Character character = CharacterAt(text, behind);
      if (character.char_class != CharClass::kSpace) break;
      behind += character.bytes;
    }
    return behind;
  }

  // A stretch between special tokens.
  void EncodeStretch(std::string_view text, bool begins, std::vector<TokenId>* scratch,
                     std::vector<TokenId>* ids) const {
    if (text.empty()) return;
    if (vocabulary.kind() == VocabularyKind::kByteLevel)
      return EncodePlain(spelling.composes ? spelling.Compose(text) : text, scratch, ids);
    spelling.ForEachWord(text, begins, [&](const std::string& word) {
      if (vocabulary.kind() == VocabularyKind::kUnigram) return EncodeUnigram(word, ids);
      EncodeSpelled(word, scratch, ids);
    });
  }

  // What no piece covers: its bytes where the vocabulary has all of them, else one unknown token.
  void EncodeUncovered(std::string_view text, std::vector<TokenId>* ids) const {
    const size_t before = ids->size();
    for (const char byte : text) {
      const TokenId id = vocabulary.ByteToken(static_cast<uint8_t>(byte));
      if (id >= 0) {
        ids->push_back(id);
        continue;
      }
      ids->resize(before);
      if (vocabulary.unknown().has_value()) ids->push_back(*vocabulary.unknown());
      return;
    }
  }

  void EncodeUnigram(const std::string& word, std::vector<TokenId>* ids) const {
    std::vector<Unigram::Cut> cuts;
    vocabulary.unigram().Segment(word, &cuts);
    for (const Unigram::Cut& cut : cuts) {
      if (cut.id >= 0) {
        ids->push_back(cut.id);
      } else {
        EncodeUncovered(std::string_view(word).substr(cut.begin, cut.end - cut.begin), ids);
      }
    }
  }

  void EncodeSpelled(const std::string& spelled, std::vector<TokenId>* scratch,
                     std::vector<TokenId>* ids) const {
    scratch->clear();
    for (size_t position = 0; position < spelled.size();) {
      const size_t start = position;
      const int32_t code_point = NextCodePoint(spelled, &position);
      if (const TokenId id = vocabulary.FindCharacter(code_point); id >= 0) {
        scratch->push_back(id);
        continue;
      }
      const std::string_view character = std::string_view(spelled).substr(start, position - start);
      const size_t before = scratch->size();
      EncodeUncovered(character, scratch);
      // Neighbouring unknown characters are one unknown token.
      if (fuses_unknown && scratch->size() == before + 1 && before > 0 && vocabulary.unknown().has_value() &&
          (*scratch)[before - 1] == *vocabulary.unknown() && scratch->back() == *vocabulary.unknown())
        scratch->pop_back();
    }
    vocabulary.merges().MergeAll(scratch);
    ids->insert(ids->end(), scratch->begin(), scratch->end());
  }

  void EncodePlain(std::string_view text, std::vector<TokenId>* scratch, std::vector<TokenId>* ids) const {
    for (size_t position = 0; position < text.size();) {
      const size_t end = pre_tokenizer.PieceEnd(text, position);
      EncodePiece(text.substr(position, end - position), scratch, ids);
      position = end;
    }
  }
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>> Tokenizer::Create(const ModelFile& file) {
  WEIR_ASSIGN_OR_RETURN(TokenizerParts parts, TokenizerParts::Read(file));
  return Create(std::move(parts));
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::Create(TokenizerParts parts) {
  WEIR_ASSIGN_OR_RETURN(const PreTokenizer pre_tokenizer, PreTokenizer::Find(parts.pre_tokenizer));
  const std::optional<bool> add_bos = parts.add_bos;
  const bool sentence_piece = parts.kind == VocabularyKind::kSentencePiece;
  Spelling spelling = std::move(parts.spelling);
  spelling.composes = spelling.composes || pre_tokenizer.composes();
  const bool whole_piece_first = parts.whole_piece_first.value_or(pre_tokenizer.whole_piece_first());
  const bool fuses_unknown = parts.fuses_unknown;
  std::unordered_set<TokenId> strips_left(parts.strips_left.begin(), parts.strips_left.end());
  std::unordered_set<TokenId> strips_right(parts.strips_right.begin(), parts.strips_right.end());
  WEIR_ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::Create(std::move(parts)));
  auto state = std::make_unique<State>(State{.vocabulary = std::move(vocabulary),
                                             .pre_tokenizer = pre_tokenizer,
                                             .all_special = {},
                                             .user_defined = {},
                                             .strips_left = {},
                                             .strips_right = {}});
  state->spelling = std::move(spelling);
  state->whole_piece_first = whole_piece_first;
  state->fuses_unknown = fuses_unknown;
  state->strips_left = std::move(strips_left);
  state->strips_right = std::move(strips_right);
  state->add_bos = state->vocabulary.bos().has_value() &&
                   add_bos.value_or(sentence_piece || pre_tokenizer.bos_by_default());
  for (TokenId id = 0; id < state->vocabulary.size(); ++id) {
    const bool user_defined = state->vocabulary.type(id) == TokenType::kUserDefined;
    if (user_defined) state->user_defined.Add(state->vocabulary.text(id), id);
    if (user_defined || state->vocabulary.is_special(id)) {
      state->all_special.Add(state->vocabulary.text(id), id);
    }
  }
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(state)));
}

Result<std::vector<TokenId>> Tokenizer::Encode(std::string_view text, SpecialTokens special,
                                               bool add_bos) const {
  WEIR_RETURN_IF_ERROR(CheckText(text));
  std::vector<TokenId> ids;
  if (add_bos && state_->vocabulary.bos().has_value()) ids.push_back(*state_->vocabulary.bos());
  state_->EncodeBetween(text, true,
                        special == SpecialTokens::kParse ? state_->all_special : state_->user_defined, &ids);
  return ids;
}

Result<std::vector<TokenId>> Tokenizer::EncodeParts(std::span<const MarkedText> parts, bool add_bos) const {
  std::string text;
  std::vector<State::Region> regions;
  for (const MarkedText& part : parts) {
    if (part.text.size() > kMaxTextBytes - text.size()) return TooLong(text.size() + part.text.size());
    text += part.text;
    const bool parses = part.special == SpecialTokens::kParse;
    if (regions.empty() || regions.back().parses != parses) regions.push_back({0, parses});
    regions.back().end = text.size();
  }
  WEIR_RETURN_IF_ERROR(CheckText(text));
  std::vector<TokenId> ids;
  if (add_bos && state_->vocabulary.bos().has_value()) ids.push_back(*state_->vocabulary.bos());
  // Special tokens first, each inside one region; what lies between them is one plain text whatever it came from.
  size_t plain_begin = 0;
  size_t begin = 0;
  for (const State::Region& region : regions) {
    while (region.parses && begin < region.end) {
      const SpecialMatcher::Match match =
          state_->all_special.Find(std::string_view(text).substr(0, region.end), begin);
      if (match.bytes == 0) break;
      const std::string_view before = std::string_view(text).substr(plain_begin, match.begin - plain_begin);
      state_->EncodeBetween(state_->StripLeft(before, match), plain_begin == 0, state_->user_defined, &ids);
      ids.push_back(match.id);
      begin = plain_begin = state_->StripRight(text, match.begin + match.bytes, match);
    }
    begin = std::max(begin, region.end);  // white space behind a token may reach into the next region
  }
  state_->EncodeBetween(std::string_view(text).substr(plain_begin), plain_begin == 0, state_->user_defined,
                        &ids);
  return ids;
}

std::string_view Tokenizer::TokenBytes(TokenId id, bool skip_special) const {
  if (!state_->vocabulary.Contains(id) || (skip_special && state_->vocabulary.is_special(id))) return "";
  return state_->vocabulary.bytes(id);
}

std::string Tokenizer::Decode(std::span<const TokenId> ids, bool skip_special) const {
  std::string bytes;
  const Spelling& spelling = state_->spelling;
  bool first = true;
  for (const TokenId id : ids) {
    if (skip_special && is_special(id)) continue;
    bytes += TokenBytes(id, skip_special);
    if (first && spelling.drops_first_spaces) std::erase(bytes, ' ');
    first = false;
  }
  // The space that encoding put there.
  if (!spelling.drops_first_spaces && spelling.prefix != SpacePrefix::kNone && bytes.starts_with(' '))
    bytes.erase(0, 1);
  return ReplaceInvalidUtf8(bytes);
}

std::string_view Tokenizer::TokenText(TokenId id) const {
  return state_->vocabulary.Contains(id) ? std::string_view(state_->vocabulary.text(id)) : std::string_view();
}

int Tokenizer::vocab_size() const { return state_->vocabulary.size(); }
int Tokenizer::max_token_bytes() const { return state_->vocabulary.max_token_bytes(); }
std::optional<TokenId> Tokenizer::bos() const { return state_->vocabulary.bos(); }
std::optional<TokenId> Tokenizer::eos() const { return state_->vocabulary.eos(); }
std::span<const TokenId> Tokenizer::end_ids() const { return state_->vocabulary.end_ids(); }
bool Tokenizer::add_bos_by_default() const { return state_->add_bos; }

bool Tokenizer::is_special(TokenId id) const {
  return state_->vocabulary.Contains(id) && state_->vocabulary.is_special(id);
}

}  // namespace weir
