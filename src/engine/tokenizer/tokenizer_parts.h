// A vocabulary as a model file spells it, before anything in it is believed.
//
// Errors    Read: DATA_LOSS for keys that are missing, of the wrong type or of contradicting length ·
// UNIMPLEMENTED for a
//           tokenizer model that weir lacks
// Threads   a value
// Source    docs/TOKENIZER.md, "Keys"
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/gguf/model_file.h"
#include "engine/tokenizer/spelling.h"

namespace weir {

enum class TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // special: never text
  kUserDefined = 4,  // found in any text before the pre-tokenizer runs
  kUnused = 5,
  kByte = 6,  // "<0x0A>" is the byte 10
};

enum class VocabularyKind {
  kByteLevel,      // every byte is a printable character; pieces by a pattern
  kSentencePiece,  // characters, spaces as U+2581, other characters by their bytes; one piece
  kUnigram,        // the same, and the pieces with the highest sum of scores instead of merges
};

struct TokenizerParts {
  VocabularyKind kind = VocabularyKind::kByteLevel;
  std::vector<std::string> tokens;
  std::vector<TokenType> types;     // as many as tokens
  std::vector<std::string> merges;  // "left right", earliest first
  std::vector<double> scores;       // of kUnigram; of kSentencePiece without merges: the highest merges first
  std::string pre_tokenizer = "default";
  std::optional<uint64_t> bos;
  std::optional<uint64_t> eos;
  std::vector<uint64_t> other_end_ids;  // end of turn, end of message
  std::optional<bool> add_bos;
  std::optional<uint64_t> unknown;
  std::optional<bool>
      whole_piece_first;       // a piece that is a token skips the merges; unset: as the pre-tokenizer says
  bool fuses_unknown = false;  // neighbouring unknown characters are one unknown token
  Spelling spelling{};
  std::vector<uint64_t> strips_left;   // special tokens that take the white space before them
  std::vector<uint64_t> strips_right;  // or behind them

  static Result<TokenizerParts> Read(const ModelFile& file);
};

}  // namespace weir
