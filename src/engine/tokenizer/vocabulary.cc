#include "engine/tokenizer/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/log.h"
#include "base/utf8.h"
#include "engine/tokenizer/byte_alphabet.h"
#include "engine/tokenizer/space_spelling.h"

namespace weir {
namespace {

constexpr size_t kMaxTokens = 1u << 24;
// Bounds the work per character when special tokens are looked for.
constexpr size_t kMaxSpecialBytes = 1024;
// Bounds the work per character when pieces are looked for.
constexpr size_t kMaxPieceBytes = 1024;

// End-of-turn tokens that files often do not name in their metadata.
constexpr std::string_view kEndTexts[] = {"<|im_end|>", "<|endoftext|>", "<|end|>",         "<|eot_id|>",
                                          "<|eom_id|>", "<end_of_turn>", "<|end_of_text|>", "</s>"};

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// "<0x0A>" and nothing else: -1 for every other spelling.
int ParseByteToken(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  const int high = HexDigit(text[3]);
  const int low = HexDigit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool IsLiteral(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUserDefined || type == TokenType::kUnknown;
}

}  // namespace

Result<Vocabulary> Vocabulary::Create(TokenizerParts parts) {
  Vocabulary out;
  out.kind_ = parts.kind;
  WEIR_RETURN_IF_ERROR(out.AddTokens(&parts));
  WEIR_RETURN_IF_ERROR(out.AddMerges(parts.merges));
  if (parts.kind != VocabularyKind::kByteLevel && parts.merges.empty()) {
    if (parts.scores.size() != out.texts_.size())
      return DataLoss(fmt::format("tokenizer.ggml.scores has {} entries but tokenizer.ggml.tokens has {}",
                                  parts.scores.size(), out.texts_.size()));
    if (parts.kind == VocabularyKind::kUnigram) {
      WEIR_RETURN_IF_ERROR(out.AddPieces(parts.scores));
    } else {
      out.DeriveMerges(parts.scores);
    }
  }
  WEIR_RETURN_IF_ERROR(out.AddSpecialIds(parts));
  return out;
}

int32_t Vocabulary::FindCharacter(int32_t character) const {
  const int32_t* id = characters_.Find(static_cast<uint64_t>(character));
  return id == nullptr ? -1 : *id;
}

int32_t Vocabulary::FindSpelling(const std::string& text) const {
  const auto found = plain_by_text_.find(text);
  return found == plain_by_text_.end() ? -1 : found->second;
}

// A token of the vocabulary arises from every two that it can be cut into, the one with the highest score first.
void Vocabulary::DeriveMerges(const std::vector<double>& scores) {
  using Token = std::pair<std::string_view, int32_t>;
  std::unordered_map<std::string_view, int32_t> ids(plain_by_text_.begin(), plain_by_text_.end());
  std::vector<Token> order(ids.begin(), ids.end());
  const auto score = [&](const Token& token) { return scores[static_cast<size_t>(token.second)]; };
  std::sort(order.begin(), order.end(), [&](const Token& a, const Token& b) {
    return score(a) != score(b) ? score(a) > score(b) : a.second < b.second;
  });
  int32_t rank = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    const auto& [text, id] = order[i];
    if (i > 0 && score(order[i - 1]) != score(order[i])) ++rank;
    for (size_t cut = 0; NextCodePoint(text, &cut) >= 0 && cut < text.size();) {
      const auto left = ids.find(text.substr(0, cut));
      if (left == ids.end()) continue;
      const auto right = ids.find(text.substr(cut));
      if (right != ids.end()) merges_.Add(left->second, right->second, {rank, id});
    }
  }
}

Status Vocabulary::AddPieces(const std::vector<double>& scores) {
  for (int32_t id = 0; id < size(); ++id) {
    const std::string& text = texts_[id];
    if (types_[id] != TokenType::kNormal && types_[id] != TokenType::kUserDefined) continue;
    if (text.size() > kMaxPieceBytes)
      return DataLoss(fmt::format("tokenizer.ggml.tokens[{}] is a piece of {} bytes, at most {} are allowed",
                                  id, text.size(), kMaxPieceBytes));
    if (!text.empty()) unigram_.Add(text, id, scores[static_cast<size_t>(id)]);
  }
  return OkStatus();
}

int32_t Vocabulary::FindBytes(std::string_view bytes) const {
  if (kind_ != VocabularyKind::kByteLevel) return FindSpelling(SpellSpaces(bytes));
  if (bytes.size() > static_cast<size_t>(max_token_bytes_)) return -1;
  const auto found = plain_by_text_.find(SpellBytes(bytes));
  return found == plain_by_text_.end() ? -1 : found->second;
}

Status Vocabulary::AddTokens(TokenizerParts* parts) {
  if (parts->tokens.empty() || parts->tokens.size() > kMaxTokens) {
    return DataLoss(fmt::format("tokenizer.ggml.tokens has {} entries, expected 1 to {}",
                                parts->tokens.size(), kMaxTokens));
  }
  if (parts->types.size() != parts->tokens.size()) {
    return DataLoss(fmt::format("tokenizer.ggml.token_type has {} entries but tokenizer.ggml.tokens has {}",
                                parts->types.size(), parts->tokens.size()));
  }
  texts_ = std::move(parts->tokens);
  types_ = std::move(parts->types);
  bytes_.reserve(texts_.size());
  plain_by_text_.reserve(texts_.size());
  std::array<int32_t, 256> typed_bytes;
  typed_bytes.fill(-1);
  size_t num_empty = 0;
  for (size_t i = 0; i < texts_.size(); ++i) {
    const std::string& text = texts_[i];
    const auto id = static_cast<int32_t>(i);
    if (types_[i] == TokenType::kByte) {
      const int byte = ParseByteToken(text);
      if (byte < 0) {
        return DataLoss(
            fmt::format("tokenizer.ggml.tokens[{}] is a byte token with the text \"{}\", expected <0x00> to "
                        "<0xFF>. Fetch the file again",
                        i, QuoteForMessage(text)));
      }
      bytes_.push_back(std::string(1, static_cast<char>(byte)));
      if (typed_bytes[byte] < 0) typed_bytes[byte] = id;
      continue;
    }
    if (IsLiteral(types_[i]) && text.size() > kMaxSpecialBytes) {
      return DataLoss(
          fmt::format("tokenizer.ggml.tokens[{}] is a special token of {} bytes, at most {} are allowed", i,
                      text.size(), kMaxSpecialBytes));
    }
    num_empty += text.empty() ? 1 : 0;
    bytes_.push_back(kind_ != VocabularyKind::kByteLevel ? SpacesOfSpelling(text)
                     : IsLiteral(types_[i])              ? text
                                                         : BytesOfSpelling(text));
    max_token_bytes_ = std::max(max_token_bytes_, static_cast<int>(bytes_.back().size()));
    // A text named twice keeps its lowest id.
    if (!IsLiteral(types_[i])) plain_by_text_.emplace(text, id);
    // SentencePiece merges may make a user-defined token too: it is found before, but not in every stretch.
    if (kind_ != VocabularyKind::kByteLevel && types_[i] == TokenType::kUserDefined)
      plain_by_text_.emplace(SpellSpaces(text), id);
  }
  if (num_empty > 0) LogWarning("{} tokens of the vocabulary are empty; they are never encoded", num_empty);
  if (kind_ != VocabularyKind::kByteLevel) {
    for (const auto& [text, id] : plain_by_text_) {
      size_t end = 0;
      const int32_t character = NextCodePoint(text, &end);
      if (character >= 0 && end == text.size()) characters_.Put(static_cast<uint64_t>(character), id);
    }
    byte_tokens_ = typed_bytes;
    return OkStatus();
  }
  for (int byte = 0; byte < 256; ++byte) {
    const int32_t plain = FindBytes(std::string(1, static_cast<char>(byte)));
    byte_tokens_[byte] = plain >= 0 ? plain : typed_bytes[byte];
  }
  return OkStatus();
}

Status Vocabulary::AddMerges(const std::vector<std::string>& merges) {
  merges_.Reserve(merges.size());
  const auto find = [&](const std::string& text) {
    const auto found = plain_by_text_.find(text);
    return found == plain_by_text_.end() || text.empty() ? -1 : found->second;
  };
  for (size_t i = 0; i < merges.size(); ++i) {
    const std::string& merge = merges[i];
    const size_t space = merge.find(' ', 1);
    const std::string left = merge.substr(0, space);
    const std::string right = space == std::string::npos ? "" : merge.substr(space + 1);
    const int32_t left_id = find(left);
    const int32_t right_id = find(right);
    const int32_t result = find(left + right);
    if (left_id < 0 || right_id < 0 || result < 0) {
      return DataLoss(
          fmt::format("tokenizer.ggml.merges[{}] is \"{}\", expected two tokens of the vocabulary that make "
                      "a third. Fetch the file again",
                      i, QuoteForMessage(merge)));
    }
    merges_.Add(left_id, right_id, {static_cast<int32_t>(i), result});
  }
  return OkStatus();
}

Status Vocabulary::AddSpecialIds(const TokenizerParts& parts) {
  const auto check = [&](std::string_view name,
                         std::optional<uint64_t> id) -> Result<std::optional<int32_t>> {
    if (!id.has_value()) return std::optional<int32_t>();
    if (*id >= texts_.size()) {
      return DataLoss(
          fmt::format("tokenizer.ggml.{}_token_id is {}, but the vocabulary has {} tokens. Fetch the file "
                      "again",
                      name, *id, texts_.size()));
    }
    return std::optional<int32_t>(static_cast<int32_t>(*id));
  };
  WEIR_ASSIGN_OR_RETURN(bos_, check("bos", parts.bos));
  WEIR_ASSIGN_OR_RETURN(eos_, check("eos", parts.eos));
  WEIR_ASSIGN_OR_RETURN(unknown_, check("unknown", parts.unknown));
  const auto add_end = [&](int32_t id) {
    if (std::find(end_ids_.begin(), end_ids_.end(), id) == end_ids_.end()) end_ids_.push_back(id);
  };
  if (eos_.has_value()) add_end(*eos_);
  for (const uint64_t other : parts.other_end_ids) {
    WEIR_ASSIGN_OR_RETURN(const std::optional<int32_t> id, check("eot or eom", other));
    add_end(*id);
  }
  for (int32_t id = 0; id < size(); ++id) {
    if (types_[id] != TokenType::kControl) continue;
    if (std::find(std::begin(kEndTexts), std::end(kEndTexts), texts_[id]) != std::end(kEndTexts)) add_end(id);
  }
  return OkStatus();
}

}  // namespace weir
