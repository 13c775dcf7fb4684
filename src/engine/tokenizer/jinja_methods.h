// The methods that values have: all there are.
//
// Text: strip lstrip rstrip startswith endswith split rsplit splitlines partition rpartition join upper lower title capitalize
// swapcase replace find rfind index rindex count removeprefix removesuffix zfill isdigit isdecimal isalpha isalnum isspace isupper
// islower. Dict: items keys values get.
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
// object.name where it is no entry: a method of Python's, whether weir has it or not, or undefined with the name `label`.
Result<JinjaValue> JinjaMember(const JinjaValue& object, std::string_view name, std::string_view label);

}  // namespace weir
