#include "net/openai/tool_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace weir {
namespace {

constexpr size_t kMaxNameBytes = 64;
constexpr size_t kMaxSchemaBytes = 64 << 10;
constexpr int kMaxParallelCalls = 8;  // that a constraint allows

Result<std::string> TextOf(const Json& object, const char* key, const std::string& where) {
  const std::string at = fmt::format("{}.{}", where, key);
  const Json* found = FindJson(object, {key});
  if (found == nullptr || found->is_null()) return MissingField(at);
  if (!found->is_string()) return InvalidType(*found, "a string", at);
  return found->get<std::string>();
}

Result<const Json*> FunctionOf(const Json& object, const std::string& where) {
  if (!object.is_object()) return InvalidType(object, "an object", where);
  WEIR_ASSIGN_OR_RETURN(const std::string type, TextOf(object, "type", where));
  if (type != "function") {
    return InvalidValue(fmt::format("{}.type is \"{}\", expected function", where, QuoteForMessage(type)),
                        where + ".type");
  }
  const Json* function = FindJson(object, {"function"});
  if (function == nullptr) return MissingField(where + ".function");
  if (!function->is_object()) return InvalidType(*function, "an object", where + ".function");
  return function;
}

bool IsFunctionName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

Result<WireTool> ReadTool(const Json& value, const std::string& where) {
  WEIR_ASSIGN_OR_RETURN(const Json* function, FunctionOf(value, where));
  WireTool tool;
  WEIR_ASSIGN_OR_RETURN(tool.name, TextOf(*function, "name", where + ".function"));
  if (!IsFunctionName(tool.name)) {
    return InvalidValue(fmt::format("{}.function.name is \"{}\", expected 1 to {} letters, digits and _ - .",
                                    where, QuoteForMessage(tool.name), kMaxNameBytes),
                        where + ".function.name");
  }
  tool.definition = value;
  const Json* parameters = FindJson(*function, {"parameters"});
  tool.parameters = {{"type", "object"}, {"properties", Json::object()}};
  if (parameters != nullptr && !parameters->is_null()) {
    if (!parameters->is_object())
      return InvalidType(*parameters, "an object", where + ".function.parameters");
    if (!parameters->empty()) tool.parameters = *parameters;
  }
  return tool;
}

Status Require(const std::string& name, bool parallel, ChatRequest* out) {
  Json callable = Json::array();
  for (const WireTool& tool : out->tools) {
    if (name.empty() || tool.name == name)
      callable.push_back({{"name", tool.name}, {"parameters", tool.parameters}});
  }
  if (callable.empty()) {
    return InvalidValue(name.empty() ? "tool_choice requires a call, but there are no tools"
                                     : fmt::format("tool_choice names \"{}\", which is not among the tools",
                                                   QuoteForMessage(name)),
                        "tool_choice");
  }
  if (DumpJson(callable).size() > kMaxSchemaBytes) {
    return InvalidValue(fmt::format("the schemas of the tools have more than {} bytes", kMaxSchemaBytes),
                        "tools");
  }
  if (out->constraint.kind != OutputConstraint::Kind::kNone) {
    return InvalidValue("a required tool call and a response_format cannot both hold; leave one out",
                        "response_format");
  }
  out->tool_choice = ToolChoice::kCall;
  out->constraint = {OutputConstraint::Kind::kToolCalls, std::move(callable),
                     parallel && name.empty() ? kMaxParallelCalls : 1};
  return OkStatus();
}

}  // namespace

Result<std::vector<WireToolCall>> ReadToolCalls(const Json& calls, const std::string& where) {
  if (!calls.is_array()) return InvalidType(calls, "an array", where);
  std::vector<WireToolCall> out;
  for (size_t i = 0; i < calls.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", where, i);
    WEIR_ASSIGN_OR_RETURN(const Json* function, FunctionOf(calls[i], at));
    WireToolCall call;
    call.index = static_cast<int>(i);
    WEIR_ASSIGN_OR_RETURN(call.id, TextOf(calls[i], "id", at));
    WEIR_ASSIGN_OR_RETURN(call.name, TextOf(*function, "name", at + ".function"));
    WEIR_ASSIGN_OR_RETURN(call.arguments, TextOf(*function, "arguments", at + ".function"));
    out.push_back(std::move(call));
  }
  return out;
}

Status ReadTools(const FieldReader& reader, ChatRequest* out) {
  if (const Json* tools = reader.Find("tools")) {
    for (size_t i = 0; i < tools->size(); ++i) {
      WEIR_ASSIGN_OR_RETURN(WireTool tool, ReadTool((*tools)[i], fmt::format("tools[{}]", i)));
      out->tools.push_back(std::move(tool));
    }
  }
  const bool parallel = reader.Bool("parallel_tool_calls", true);
  const Json* choice = reader.Find("tool_choice");
  if (choice == nullptr || *choice == Json("auto")) return OkStatus();
  if (*choice == Json("none")) {
    out->tool_choice = ToolChoice::kNone;
    return OkStatus();
  }
  if (*choice == Json("required")) return Require("", parallel, out);
  if (choice->is_string()) {
    return InvalidValue("tool_choice is no choice that is known, expected none, auto, required or a function",
                        "tool_choice");
  }
  WEIR_ASSIGN_OR_RETURN(const Json* function, FunctionOf(*choice, "tool_choice"));
  WEIR_ASSIGN_OR_RETURN(const std::string name, TextOf(*function, "name", "tool_choice.function"));
  if (name.empty()) return InvalidValue("tool_choice names no function", "tool_choice");
  return Require(name, parallel, out);
}

}  // namespace weir
