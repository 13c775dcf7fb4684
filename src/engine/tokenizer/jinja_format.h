// Values as text, spelled as Python spells them: {{ value }}, repr inside containers, and tojson.
//
// Errors    INVALID_ARGUMENT, reason "template_error": nothing to write (a namespace in tojson), or the result is too large
// Threads   any
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/tokenizer/jinja_heap.h"
#include "engine/tokenizer/jinja_value.h"

namespace weir {

// str(value). Text keeps its marks; whatever a number or a container prints counts as data.
Result<JinjaText> JinjaToText(const JinjaValue& value, JinjaHeap* heap);
// json.dumps(value, ensure_ascii=ascii, indent=indent); no indentation below 0. Strings keep their marks.
Result<JinjaText> JinjaToJson(const JinjaValue& value, int indent, bool ascii, JinjaHeap* heap);
std::string JinjaFloatText(double value);

}  // namespace weir
