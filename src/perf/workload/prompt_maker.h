// Text of an exact number of tokens: words are added and taken away, and counted again, until the number is met.
//
// Requires  a tokenizer in which at least one short word is one token
// Errors    what counting fails with; INVALID_ARGUMENT when the prefix alone is longer; INTERNAL when no text was found
// Threads   one
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "base/rng.h"

namespace weir {

using CountTokens = std::function<Result<int>(const std::string& text)>;

class PromptMaker {
 public:
  explicit PromptMaker(CountTokens count) : count_(std::move(count)) {}

  // `prefix` and what follows it have `tokens` tokens together.
  Result<std::string> Extend(const std::string& prefix, int tokens, Rng* rng);

 private:
  CountTokens count_;
  double tokens_per_word_ = 1.5;  // learned
};

}  // namespace weir
