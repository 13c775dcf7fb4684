// The filters that make numbers: abs, int, float, round.
//
// Errors    INVALID_ARGUMENT, reason "template_error": no number, a result above 64 bits
// Threads   one rendering, one thread
#pragma once

#include "base/result.h"
#include "engine/tokenizer/jinja_arguments.h"
#include "engine/tokenizer/jinja_heap.h"

namespace weir {

Result<JinjaValue> JinjaAbs(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap);
Result<JinjaValue> JinjaInt(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap);
Result<JinjaValue> JinjaFloat(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap);
Result<JinjaValue> JinjaRound(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap);

}  // namespace weir
