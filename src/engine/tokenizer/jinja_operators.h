// Arithmetic, comparison and indexing, as Python does them but with 64-bit integers that never wrap.
//
// Errors    INVALID_ARGUMENT, reason "template_error": wrong kinds, division by zero, overflow, a budget spent
// Threads   any
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "engine/tokenizer/jinja_heap.h"
#include "engine/tokenizer/jinja_strings.h"

namespace weir {

// + - * / // % ** ~
Result<JinjaValue> JinjaBinary(std::string_view operation, const JinjaValue& a, const JinjaValue& b,
                               JinjaHeap* heap);
Result<JinjaValue> JinjaNegate(const JinjaValue& value);
// == != < <= > >= in "not in"
Result<bool> JinjaCompare(std::string_view operation, const JinjaValue& a, const JinjaValue& b,
                          JinjaHeap* heap);
// value[index]: undefined when there is no such item.
Result<JinjaValue> JinjaSubscript(const JinjaValue& value, const JinjaValue& index, std::string_view name,
                                  JinjaHeap* heap);
// value[start:stop:step]
Result<JinjaValue> JinjaSlice(const JinjaValue& value, std::optional<int64_t> start,
                              std::optional<int64_t> stop, std::optional<int64_t> step, JinjaHeap* heap);
// The items that a loop visits: of a list, the keys of a dict, the characters of a text.
Result<std::shared_ptr<const JinjaList>> JinjaItems(const JinjaValue& value, JinjaHeap* heap);

}  // namespace weir
