// The filters behind "|": trim, join, tojson, default and the like.
//
// Errors    INVALID_ARGUMENT, reason "template_error": unknown filter (the message lists the known ones), wrong input
// Threads   any
#pragma once

#include <string_view>

#include "base/result.h"
#include "engine/tokenizer/jinja_arguments.h"
#include "engine/tokenizer/jinja_heap.h"

namespace weir {

bool IsJinjaFilter(std::string_view name);
Result<JinjaValue> ApplyJinjaFilter(std::string_view name, const JinjaValue& value,
                                    const JinjaArguments& arguments, JinjaHeap* heap);

}  // namespace weir
