// The built-in prompts: short, distinct from their first word on, so that no two share cached work beyond the template's.
//
// Source    docs/MEASUREMENT.md, "Datasets"
//
// Warm-up prompts come from a list of their own, whose first words appear in no measured prompt.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/tokenizer/tokenizer.h"

namespace weir {

struct Prompt {
  std::string id;  // names the text, whatever the seed
  std::string text;
  std::string messages = {};           // a conversation as a JSON array, instead of text
  std::optional<int> num_tokens = {};  // of a text made to a length, without the chat template
  int max_tokens = 0;                  // of its answer; 0: what the run asks for
};

class BuiltinPrompts {
 public:
  // The seed orders the list; it does not change what is in it.
  explicit BuiltinPrompts(uint64_t seed);

  // Distinct for 0 <= index < num_distinct(), by their first word for index < num_first_words(); then it starts over.
  Prompt Measured(int64_t index) const;
  static Prompt Warmup(int64_t index);

  static int num_first_words();
  static int num_distinct();

 private:
  std::vector<int> order_;
};

// Ids that stand for ordinary text: what a random prompt may consist of.
std::vector<TokenId> OrdinaryTokenIds(const Tokenizer& tokenizer);
std::vector<TokenId> RandomPrompt(std::span<const TokenId> ids, int length, Rng* rng);

}  // namespace weir
