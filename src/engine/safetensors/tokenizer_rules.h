// What tokenizer.json says about a text before it is cut into tokens and after they are joined: normalizer, pre-tokenizer,
// decoder.
//
// Errors    UNIMPLEMENTED for a step, or an order of steps, that weir lacks · DATA_LOSS for one that contradicts itself. The
//           caller adds the file's name
// Threads   pure functions
// Source    docs/TOKENIZER.md, "tokenizer.json"
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/gguf/metadata_writer.h"

namespace weir {

struct TokenizerRules {
  bool is_byte_level = false;  // else characters, with spaces as U+2581
  std::string pre;             // of is_byte_level: GGUF's name of the pattern that cuts text
  bool composes = false;
  std::string charsmap;
  bool trims_left = false;
  bool trims_right = false;
  bool collapses_spaces = false;
  bool splits_at_white_space = false;
  bool prefix = false;
  bool prefix_only_first = false;
  bool prefix_unless_there = false;
  bool splits_words = false;
  bool drops_first_spaces = false;

  void Write(MetadataWriter* out) const;
};

Result<TokenizerRules> ReadTokenizerRules(const Json& root);

// The "type" of a step, "" if it has none.
std::string TypeOf(const Json& value);
// Null where the key is missing or null.
const Json* Present(const Json& value, std::string_view key);
// The parts of a Sequence, or the one that is none.
std::vector<const Json*> PartsOf(const Json* value, std::string_view list);
bool JsonFlag(const Json& value, std::string_view key);

}  // namespace weir
