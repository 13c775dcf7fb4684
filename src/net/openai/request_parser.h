// A request body to a request struct: strict where a wrong guess would change the answer, lenient where clients of other
// servers send fields we do not know.
//
// Errors    INVALID_ARGUMENT with the API's code as reason and the field as param: invalid_json, invalid_type,
//           invalid_value, missing_required_parameter, unsupported_parameter, unsupported_content_type,
//           template_override_disabled. Text from the client is escaped and cut in messages
// Threads   any
#pragma once

#include <string_view>

#include "base/result.h"
#include "net/openai/request_types.h"

namespace weir {

Result<ChatRequest> ParseChatRequest(std::string_view body);
Result<CompletionRequest> ParseCompletionRequest(std::string_view body);
Result<TokenizeRequest> ParseTokenizeRequest(std::string_view body);
Result<DetokenizeRequest> ParseDetokenizeRequest(std::string_view body);

}  // namespace weir
