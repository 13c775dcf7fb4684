// The tokens of a model: their bytes, which are special, which bytes and merges make them.
//
// Owns      all texts; views live as long as the vocabulary
// Errors    Create: DATA_LOSS with the index at fault
// Threads   immutable after Create(); any thread
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "engine/tokenizer/merge_table.h"
#include "engine/tokenizer/tokenizer_parts.h"
#include "engine/tokenizer/unigram.h"

namespace weir {

class Vocabulary {
 public:
  static Result<Vocabulary> Create(TokenizerParts parts);

  int32_t size() const { return static_cast<int32_t>(texts_.size()); }
  bool Contains(int32_t id) const { return id >= 0 && id < size(); }
  const std::string& text(int32_t id) const { return texts_[id]; }
  const std::string& bytes(int32_t id) const { return bytes_[id]; }
  TokenType type(int32_t id) const { return types_[id]; }
  // Control and unknown tokens are never text.
  bool is_special(int32_t id) const {
    return types_[id] == TokenType::kControl || types_[id] == TokenType::kUnknown;
  }
  int max_token_bytes() const { return max_token_bytes_; }

  VocabularyKind kind() const { return kind_; }
  // Of a vocabulary of characters: the plain token with this spelling, -1 if none.
  int32_t FindSpelling(const std::string& text) const;
  int32_t FindCharacter(int32_t character) const;
  std::optional<int32_t> unknown() const { return unknown_; }

  // The plain token with exactly these bytes, -1 if none.
  int32_t FindBytes(std::string_view bytes) const;
  // The token of one byte, -1 if the vocabulary has none.
  int32_t ByteToken(uint8_t byte) const { return byte_tokens_[byte]; }
  const MergeTable& merges() const { return merges_; }
  const Unigram& unigram() const { return unigram_; }

  std::optional<int32_t> bos() const { return bos_; }
  std::optional<int32_t> eos() const { return eos_; }
  const std::vector<int32_t>& end_ids() const { return end_ids_; }

 private:
  Status AddTokens(TokenizerParts* parts);
  Status AddMerges(const std::vector<std::string>& merges);
  void DeriveMerges(const std::vector<double>& scores);
  Status AddPieces(const std::vector<double>& scores);
  Status AddSpecialIds(const TokenizerParts& parts);

  VocabularyKind kind_ = VocabularyKind::kByteLevel;
  std::vector<std::string> texts_;
  std::vector<std::string> bytes_;
  std::vector<TokenType> types_;
  std::unordered_map<std::string, int32_t> plain_by_text_;
  std::array<int32_t, 256> byte_tokens_{};
  FlatMap<int32_t> characters_;  // the plain tokens of one character
  MergeTable merges_;
  Unigram unigram_;
  int max_token_bytes_ = 1;
  std::optional<int32_t> bos_;
  std::optional<int32_t> eos_;
  std::optional<int32_t> unknown_;
  std::vector<int32_t> end_ids_;
};

}  // namespace weir
