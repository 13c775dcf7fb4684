// Regular expressions of JSON schemas, as far as an automaton can follow them.
//
// Errors    INVALID_ARGUMENT "unsupported_schema" with the place: syntax errors, and what is not regular or not known here
// Threads   one compilation, one thread
//
// Known: literals, . [] [^] | () (?:) * + ? {m,n}, \d \w \s and their negations, the usual escapes, ^ at the beginning and $
// at the end of an outermost alternative. Without an anchor anything may stand there, as the standard says. Where the
// dialects differ (\w beyond ASCII), what all of them agree on is taken.
#pragma once

#include <string_view>

#include "base/result.h"
#include "engine/grammar/json_rules.h"

namespace weir {

// What may stand between a string's quotes.
Result<ExpressionId> ParsePattern(std::string_view pattern, JsonRules* json, Expressions* expressions);

}  // namespace weir
