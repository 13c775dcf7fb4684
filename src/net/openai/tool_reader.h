// The part of a chat request that is about tools.
//
// Errors    as request_parser.h; schemas are judged when they are compiled
// Threads   any
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "net/openai/field_reader.h"
#include "net/openai/request_types.h"

namespace weir {

// tool_calls of an assistant's message.
Result<std::vector<WireToolCall>> ReadToolCalls(const Json& calls, const std::string& where);
// tools, tool_choice, parallel_tool_calls; a call that is required becomes the request's constraint.
Status ReadTools(const FieldReader& reader, ChatRequest* out);

}  // namespace weir
