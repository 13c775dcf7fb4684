// The filters that order items or pick among them: sort, dictsort, groupby, unique, min, max, sum, batch.
//
// Errors    INVALID_ARGUMENT, reason "template_error": items that have no order, a budget spent
// Threads   one rendering, one thread
#pragma once

#include <string_view>

#include "base/result.h"
#include "engine/tokenizer/jinja_arguments.h"
#include "engine/tokenizer/jinja_heap.h"

namespace weir {

using JinjaFilter = Result<JinjaValue> (*)(const JinjaValue& value, const JinjaArguments& arguments,
                                           JinjaHeap* heap);

// item.attribute, where the attribute may be "a.b" or a number. `fallback` replaces what is undefined; null leaves it.
Result<JinjaValue> JinjaAttribute(JinjaValue item, const JinjaValue& attribute, const JinjaValue* fallback,
                                  JinjaHeap* heap);

Result<JinjaValue> JinjaSort(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap);
Result<JinjaValue> JinjaDictSort(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap);
Result<JinjaValue> JinjaUnique(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap);
Result<JinjaValue> JinjaMin(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap);
Result<JinjaValue> JinjaMax(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap);
Result<JinjaValue> JinjaSum(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap);
Result<JinjaValue> JinjaGroupBy(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap);
Result<JinjaValue> JinjaBatch(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap);

}  // namespace weir
