// The tests behind "is": defined, none, string, mapping, divisibleby and the like.
//
// Errors    INVALID_ARGUMENT, reason "template_error": unknown test (the message lists the known ones)
// Threads   any
#pragma once

#include <string_view>

#include "base/result.h"
#include "engine/tokenizer/jinja_arguments.h"
#include "engine/tokenizer/jinja_heap.h"

namespace weir {

bool IsJinjaTest(std::string_view name);
Result<bool> ApplyJinjaTest(std::string_view name, const JinjaValue& value, const JinjaArguments& arguments,
                            JinjaHeap* heap);

}  // namespace weir
