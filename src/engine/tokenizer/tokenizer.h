// Text to token ids and back, from the vocabulary inside a model file.
//
// Errors    Create: DATA_LOSS broken vocabulary · UNIMPLEMENTED unknown tokenizer or pre-tokenizer name (the
// message lists
//           the known ones). Encode: INVALID_ARGUMENT for text above 2^31 - 1 bytes or invalid UTF-8 (never
//           repaired in silence; who wants U+FFFD calls ReplaceInvalidUtf8 first). Decode never fails
// Threads   immutable after Create(); any thread
// Source    docs/TOKENIZER.md
//
// Encoding is linear in the length of the text, whatever the text. A byte for which the vocabulary has no
// token encodes to nothing, as in the reference; docs/TOKENIZER.md lists those of the default model.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/gguf/model_file.h"

namespace weir {

struct TokenizerParts;

using TokenId = int32_t;

enum class SpecialTokens {
  kAsText,  // "<|im_end|>" in user text encodes as the plain characters
  kParse,   // the text may name special tokens: template output pieces that the template itself wrote, raw
            // prompts
};

// A part of a text, and whether it may name special tokens.
struct MarkedText {
  std::string_view text;
  SpecialTokens special = SpecialTokens::kAsText;
};

class Tokenizer {
 public:
  static Result<std::unique_ptr<Tokenizer>> Create(const ModelFile& file);
  // From a vocabulary that did not come out of a file.
  static Result<std::unique_ptr<Tokenizer>> Create(TokenizerParts parts);
  ~Tokenizer();

  Result<std::vector<TokenId>> Encode(std::string_view text, SpecialTokens special, bool add_bos) const;
  // The parts as one text: pieces and merges span them as if it had never been cut, but a special token counts only where
  // all of it lies in parts that may name one.
  Result<std::vector<TokenId>> EncodeParts(std::span<const MarkedText> parts, bool add_bos) const;
  // The bytes of one token ("" for control tokens when skip_special); may be a part of a UTF-8 character.
  std::string_view TokenBytes(TokenId id, bool skip_special) const;
  // Bytes that are no UTF-8 become U+FFFD.
  std::string Decode(std::span<const TokenId> ids, bool skip_special) const;
  // The vocabulary's own spelling, for /tokenize and inspect.
  std::string_view TokenText(TokenId id) const;

  int vocab_size() const;
  // Longest token in bytes: bytes / this is a lower bound on the token count, known before tokenizing.
  int max_token_bytes() const;
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  // Every id that ends generation (eos, eot, end of message).
  std::span<const TokenId> end_ids() const;
  bool add_bos_by_default() const;
  bool is_special(TokenId id) const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir
