// How long prompts and answers are: a number of tokens, or a distribution of them.
//
// Errors    ParseLength: INVALID_ARGUMENT with the forms there are
// Threads   as a value
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/rng.h"

namespace weir {

struct LengthSpec {
  enum class Kind { kConstant, kUniform, kLogNormal };
  Kind kind = Kind::kConstant;
  double a = 0;  // the number, the least, the median
  double b = 0;  // the most, the deviation of the logarithm

  int Draw(Rng* rng) const;  // at least 1
};

// "128", "uniform:64:256" or "lognormal:128:0.5".
Result<LengthSpec> ParseLength(std::string_view text);

}  // namespace weir
