// The methods that values have: all there are.
//
// Text: strip lstrip rstrip startswith endswith split upper lower title capitalize replace find count join removeprefix
// removesuffix splitlines. Dict: items keys values get.
//
// Errors    INVALID_ARGUMENT, reason "template_error": "unknown attribute", wrong arguments
// Threads   any
#pragma once

#include <string_view>

#include "base/result.h"
#include "engine/tokenizer/jinja_arguments.h"
#include "engine/tokenizer/jinja_heap.h"

namespace weir {

Result<JinjaValue> CallJinjaMethod(const JinjaValue& object, std::string_view name,
                                   const JinjaArguments& arguments, JinjaHeap* heap);

}  // namespace weir
