// text % arguments, and the filter "format" that is the same: %s %r %d %i %u %f %e %g %x %o and their capitals, with flags, width
// and precision, by place or by name.
//
// Errors    INVALID_ARGUMENT, reason "template_error": another conversion, too few or too many arguments, a budget spent
// Threads   any
#pragma once

#include "base/result.h"
#include "engine/tokenizer/jinja_heap.h"

namespace weir {

// `arguments`: a tuple, a dict for %(name)s, or the only argument. Inserted text keeps its marks, the rest counts as data.
Result<JinjaValue> JinjaPercent(const JinjaText& format, const JinjaValue& arguments, JinjaHeap* heap);

}  // namespace weir
