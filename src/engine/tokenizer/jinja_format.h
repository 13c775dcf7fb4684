// Values as text, spelled as Python spells them: {{ value }}, repr inside containers, and tojson.
//
// Errors    INVALID_ARGUMENT, reason "template_error": nothing to write (a namespace in tojson), or the result is too large
// Threads   any
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/tokenizer/jinja_heap.h"
#include "engine/tokenizer/jinja_value.h"

namespace weir {

// str(value). Text keeps its marks; whatever a number or a container prints counts as data.
Result<JinjaText> JinjaToText(const JinjaValue& value, JinjaHeap* heap);
// repr(value)
Result<JinjaText> JinjaRepr(const JinjaValue& value, JinjaHeap* heap);

struct JinjaJsonStyle {
  bool ascii = false;
  bool sort_keys = false;
  std::optional<JinjaText> margin{};  // of each level; without it all is one line
  JinjaText item = JinjaText(", ", true);
  JinjaText key = JinjaText(": ", true);
};
// json.dumps(value, ...). Strings keep their marks.
Result<JinjaText> JinjaToJson(const JinjaValue& value, const JinjaJsonStyle& style, JinjaHeap* heap);
std::string JinjaFloatText(double value);

}  // namespace weir
