// A template's source as tokens, white space around tags already removed the way transformers asks for it.
//
// Errors    DATA_LOSS with line and column
// Threads   any
// Source    docs/TOKENIZER.md, "Chat templates": trim_blocks and lstrip_blocks are on
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir {

struct JinjaToken {
  enum class Kind {
    kData,
    kVariableBegin,
    kVariableEnd,
    kBlockBegin,
    kBlockEnd,
    kName,
    kString,
    kInt,
    kFloat,
    kOperator,
    kEnd
  };

  Kind kind = Kind::kEnd;
  std::string text;  // of a string: its value, escapes resolved
  int line = 1;
  int column = 1;

  bool IsOperator(std::string_view wanted) const { return kind == Kind::kOperator && text == wanted; }
  bool IsName(std::string_view wanted) const { return kind == Kind::kName && text == wanted; }
};

// Ends with one kEnd.
Result<std::vector<JinjaToken>> LexJinja(std::string_view source);

// "line 3, column 7: ..." with a code for load or render time.
Status JinjaSyntaxError(const JinjaToken& at, std::string_view what);

}  // namespace weir
