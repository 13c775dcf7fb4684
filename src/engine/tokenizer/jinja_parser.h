// Tokens to a tree.
//
// Errors    DATA_LOSS with line and column: syntax, statements that weir lacks, more than 128 levels
// Threads   any
#pragma once

#include <string_view>

#include "base/result.h"
#include "engine/tokenizer/jinja_ast.h"

namespace weir {

Result<JinjaBody> ParseJinja(std::string_view source);

}  // namespace weir
