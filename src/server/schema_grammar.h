// A JSON schema to a grammar whose every text is a document that the schema accepts.
//
// Errors    INVALID_ARGUMENT "unsupported_schema" with the JSON pointer: keywords or combinations that cannot be enforced
//           (nothing is dropped silently), contradictions, sizes beyond the caps
// Threads   any; bounded in work and memory, whatever the schema
//
// The grammar may accept less than the schema: properties come in the schema's order; without additionalProperties only
// those that are listed; numbers and space are bounded (json_rules.h).
#pragma once

#include <memory>

#include "base/json.h"
#include "base/result.h"
#include "engine/grammar/grammar.h"

namespace weir {

Result<std::shared_ptr<Grammar>> CompileSchema(const Json& schema,
                                               std::shared_ptr<const GrammarVocabulary> vocabulary);
// Calls of tools in the form that ToolCallParser reads, one to `max_calls`; `tools` is a list of {"name", "parameters"}.
Result<std::shared_ptr<Grammar>> CompileToolCalls(const Json& tools, int max_calls,
                                                  std::shared_ptr<const GrammarVocabulary> vocabulary);
// Any JSON object: response_format json_object.
Result<std::shared_ptr<Grammar>> CompileAnyObject(std::shared_ptr<const GrammarVocabulary> vocabulary);

}  // namespace weir
