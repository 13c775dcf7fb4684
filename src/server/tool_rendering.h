// Tools and calls of them on their way into a prompt.
//
// Threads   any
#pragma once

#include <vector>

#include "engine/tokenizer/chat_template.h"
#include "net/openai/request_types.h"

namespace weir {

TemplateData ToTemplateData(const Json& value);

struct RenderedTools {
  std::vector<ChatMessage> messages;
  TemplateData tools;  // for the template's variable; null: none
};

// For a template that knows tools they are data; for another one they are described in words, in the Hermes form that the
// output is read in.
RenderedTools RenderTools(const ChatRequest& request, bool template_knows_tools);

}  // namespace weir
