#include "server/tool_rendering.h"

#include <string>
#include <utility>

namespace weir {
namespace {

// The arguments as the object that they are, where they are one: templates write them as JSON again.
Json ArgumentsOf(const WireToolCall& call) {
  Result<Json> parsed = ParseJson(call.arguments);
  return parsed.has_value() && parsed->is_object() ? std::move(parsed).value() : Json(call.arguments);
}

std::string InWords(const Json& tools) {
  std::string text =
      "You may call one or more functions to help with the user's request. The functions, as JSON, between "
      "<tools> tags:\n"
      "<tools>\n";
  for (const Json& tool : tools) text += DumpJson(tool) + "\n";
  return text +
         "</tools>\n\nTo call a function, write a JSON object with its name and arguments between "
         "<tool_call> tags:\n"
         "<tool_call>\n{\"name\": <function name>, \"arguments\": <object of arguments>}\n</tool_call>";
}

std::string CallsInWords(const std::vector<WireToolCall>& calls) {
  std::string text;
  for (const WireToolCall& call : calls) {
    const Json body = {{"name", call.name}, {"arguments", ArgumentsOf(call)}};
    text += (text.empty() ? "" : "\n") + ("<tool_call>\n" + DumpJson(body) + "\n</tool_call>");
  }
  return text;
}

Json CallsAsData(const std::vector<WireToolCall>& calls) {
  Json out = Json::array();
  for (const WireToolCall& call : calls) {
    out.push_back({{"id", call.id},
                   {"type", "function"},
                   {"function", {{"name", call.name}, {"arguments", ArgumentsOf(call)}}}});
  }
  return out;
}

}  // namespace

TemplateData ToTemplateData(const Json& value) {
  if (value.is_boolean()) return {value.get<bool>()};
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return {value.get<double>()};
  if (value.is_number_integer()) return {value.get<int64_t>()};
  if (value.is_number()) return {value.get<double>()};
  if (value.is_string()) return {value.get<std::string>()};
  if (value.is_array()) {
    TemplateList list;
    for (const Json& one : value) list.push_back(ToTemplateData(one));
    return {std::move(list)};
  }
  if (value.is_object()) {
    TemplateObject object;
    for (const auto& [key, one] : value.items()) object.emplace_back(key, ToTemplateData(one));
    return {std::move(object)};
  }
  return {};
}

RenderedTools RenderTools(const ChatRequest& request, bool template_knows_tools) {
  RenderedTools out;
  const bool shows_tools = !request.tools.empty() && request.tool_choice != ToolChoice::kNone;
  Json tools = Json::array();
  if (shows_tools) {
    for (const WireTool& tool : request.tools) tools.push_back(tool.definition);
    if (template_knows_tools) {
      out.tools = ToTemplateData(tools);
    } else {
      out.messages.push_back({"system", InWords(tools)});
    }
  }
  bool first = true;
  for (const WireMessage& message : request.messages) {
    ChatMessage one{message.role == "developer" ? "system" : message.role, message.content, message.name};
    if (template_knows_tools) {
      one.tool_call_id = message.tool_call_id;
      if (!message.tool_calls.empty()) one.tool_calls = ToTemplateData(CallsAsData(message.tool_calls));
      if (message.null_content) one.content_kind = ContentKind::kNone;
      if (message.no_content) one.content_kind = ContentKind::kMissing;
    } else if (!message.tool_calls.empty()) {
      one.content += (one.content.empty() ? "" : "\n") + CallsInWords(message.tool_calls);
    } else if (message.role == "tool") {
      one.role = "user";
      one.content = "<tool_response>\n" + message.content + "\n</tool_response>";
    } else if (first && one.role == "system" && !out.messages.empty()) {
      // One system message: templates expect no second.
      out.messages[0].content = one.content + "\n\n" + out.messages[0].content;
      first = false;
      continue;
    }
    first = false;
    out.messages.push_back(std::move(one));
  }
  return out;
}

}  // namespace weir
