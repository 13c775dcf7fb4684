#include "server/openapi.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "base/version.h"
#include "server/route_table.h"

namespace weir {
namespace {

constexpr double kHuge = 9e18;

Json TypeOf(const char* type) { return {{"type", type}}; }

Json ListOf(Json items, int least, int most) {
  return {{"type", "array"}, {"items", std::move(items)}, {"minItems", least}, {"maxItems", most}};
}

Json TokenId() { return {{"type", "integer"}, {"minimum", 0}}; }

Json MessageSchema() {
  const Json part = {{"type", "object"},
                     {"properties", {{"type", {{"const", "text"}}}, {"text", TypeOf("string")}}},
                     {"required", {"type", "text"}}};
  return {{"type", "object"},
          {"properties",
           {{"role", {{"enum", {"system", "developer", "user", "assistant", "tool"}}}},
            {"content", {{"anyOf", {TypeOf("string"), {{"type", "array"}, {"items", part}}}}}},
            {"name", TypeOf("string")}}},
          {"required", {"role", "content"}}};
}

Json PromptSchema(Endpoint endpoint) {
  const Json text = {{"type", "string"}, {"minLength", 1}};
  if (endpoint == kTokenizeEndpoint) return TypeOf("string");
  const Json ids = {{"type", "array"}, {"items", TokenId()}, {"minItems", 1}};
  return {{"anyOf", {text, ids, ListOf({{"anyOf", {text, ids}}}, 1, 32)}}};
}

// What a field holds, where its type alone does not say it. Null: the table says all.
Json InnerSchema(const Field& field, Endpoint endpoint) {
  const std::string_view name = field.name;
  if (name == "messages") return ListOf(MessageSchema(), 1, 2048);
  if (name == "prompt") return PromptSchema(endpoint);
  if (name == "model") {
    return {{"type", "string"}, {"minLength", 1}, {"maxLength", 128}, {"pattern", "^[A-Za-z0-9._:/-]+$"}};
  }
  if (name == "stop" || name == "bad_words") {
    const Json text = {{"type", "string"}, {"minLength", 1}, {"maxLength", name == "stop" ? 256 : 64}};
    return {{"anyOf", {text, ListOf(text, static_cast<int>(field.least), static_cast<int>(field.most))}}};
  }
  if (name == "logit_bias") {
    return {{"type", "object"},
            {"maxProperties", field.most},
            {"propertyNames", {{"pattern", "^[0-9]+$"}}},
            {"additionalProperties", {{"type", "number"}, {"minimum", -100}, {"maximum", 100}}}};
  }
  if (name == "metadata") {
    return {{"type", "object"},
            {"maxProperties", field.most},
            {"additionalProperties", {{"type", "string"}, {"maxLength", 512}}}};
  }
  if (name == "stream_options") {
    Json properties = Json::object();
    for (const char* option : {"include_usage", "continuous_usage_stats", "include_obfuscation"})
      properties[option] = TypeOf("boolean");
    return {{"type", "object"}, {"properties", std::move(properties)}};
  }
  if (name == "modalities") return ListOf({{"const", "text"}}, 0, static_cast<int>(field.most));
  if (name == "service_tier") return {{"enum", {"auto", "default", "priority", "flex"}}};
  if (name == "response_format") {
    const Json inner = {{"type", "object"},
                        {"properties",
                         {{"name", TypeOf("string")},
                          {"description", TypeOf("string")},
                          {"schema", TypeOf("object")},
                          {"strict", {{"type", {"boolean", "null"}}}}}},
                        {"required", {"schema"}}};
    return {{"oneOf",
             {{{"type", "object"},
               {"properties", {{"type", {{"enum", {"text", "json_object"}}}}}},
               {"required", {"type"}}},
              {{"type", "object"},
               {"properties", {{"type", {{"const", "json_schema"}}}, {"json_schema", inner}}},
               {"required", {"type", "json_schema"}}}}}};
  }
  if (name == "tools") {
    const Json function = {{"type", "object"},
                           {"properties",
                            {{"name", {{"type", "string"}, {"pattern", "^[a-zA-Z0-9_.-]{1,64}$"}}},
                             {"description", TypeOf("string")},
                             {"parameters", TypeOf("object")}}},
                           {"required", {"name"}}};
    return ListOf({{"type", "object"},
                   {"properties", {{"type", {{"const", "function"}}}, {"function", function}}},
                   {"required", {"type", "function"}}},
                  0, static_cast<int>(field.most));
  }
  if (name == "tool_choice") {
    const Json named = {
        {"type", "object"},
        {"properties",
         {{"type", {{"const", "function"}}},
          {"function",
           {{"type", "object"}, {"properties", {{"name", TypeOf("string")}}}, {"required", {"name"}}}}}},
        {"required", {"type", "function"}}};
    return {{"anyOf", {{{"enum", {"none", "auto", "required"}}}, named}}};
  }
  if (name == "store") return {{"const", false}};
  return nullptr;
}

Json BaseSchema(const Field& field) {
  switch (field.type) {
    case FieldType::kBool:
      return TypeOf("boolean");
    case FieldType::kInteger:
    case FieldType::kNumber: {
      Json out = TypeOf(field.type == FieldType::kInteger ? "integer" : "number");
      if (field.least > -kHuge) out[field.excludes_least ? "exclusiveMinimum" : "minimum"] = field.least;
      if (field.most < kHuge) out["maximum"] = field.most;
      return out;
    }
    case FieldType::kString: {
      Json out = TypeOf("string");
      if (field.least > 0) out["minLength"] = field.least;
      if (field.most > 0) out["maxLength"] = field.most;
      return out;
    }
    case FieldType::kIntegers:
      return ListOf(TokenId(), static_cast<int>(field.least), static_cast<int>(field.most));
    case FieldType::kStringOrStrings:
    case FieldType::kArray:
      return TypeOf("array");
    case FieldType::kObject:
      return TypeOf("object");
    case FieldType::kAny:
      break;
  }
  return Json::object();
}

bool IsRequired(const Field& field, Endpoint endpoint) {
  // /tokenize takes one of prompt and messages, and the model may be left out of both of its kind.
  return field.default_text == "required" && ((endpoint & kGenerationEndpoints) || field.name == "tokens");
}

Json FieldSchema(const Field& field, Endpoint endpoint) {
  Json schema = InnerSchema(field, endpoint);
  if (schema.is_null()) schema = BaseSchema(field);
  if (!IsRequired(field, endpoint)) schema = {{"anyOf", {std::move(schema), TypeOf("null")}}};
  if (field.use == FieldUse::kNoEffect || field.use == FieldUse::kUnsupportedTrue) {
    schema["description"] = "accepted, without effect";
  } else if (!field.default_text.empty() && field.default_text != "required") {
    schema["description"] = fmt::format("default: {}", field.default_text);
  }
  return schema;
}

Json BodySchema(Endpoint endpoint) {
  Json properties = Json::object();
  Json required = Json::array();
  std::string refused;
  for (const Field& field : Fields()) {
    if (!(field.endpoints & endpoint)) continue;
    if (field.use == FieldUse::kUnsupported || field.use == FieldUse::kTemplateOverride) {
      refused += (refused.empty() ? "" : ", ") + std::string(field.name);
      continue;
    }
    properties[std::string(field.name)] = FieldSchema(field, endpoint);
    if (IsRequired(field, endpoint)) required.push_back(field.name);
  }
  Json schema = {{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) schema["required"] = std::move(required);
  if (endpoint == kTokenizeEndpoint) {
    schema["oneOf"] = {{{"required", {"prompt"}}}, {{"required", {"messages"}}}};
  }
  if (!refused.empty()) schema["description"] = "refused when not null: " + refused;
  return schema;
}

Json JsonContent(Json schema) { return {{"application/json", {{"schema", std::move(schema)}}}}; }

Json Responses(const Route& route) {
  const Json error = {{"$ref", "#/components/responses/error"}};
  Json out = {{"200", {{"description", "OK"}}}};
  const bool is_text = route.id == RouteId::kMetrics || route.id == RouteId::kDebugRequests;
  if (!is_text) out["200"]["content"] = JsonContent({{"type", "object"}});
  if (route.id == RouteId::kMetrics) out["200"]["content"] = {{"text/plain", Json::object()}};
  if (route.id == RouteId::kDebugRequests) out["200"]["content"] = {{"application/x-ndjson", Json::object()}};
  if (route.id == RouteId::kChatCompletions || route.id == RouteId::kCompletions) {
    out["200"]["content"]["text/event-stream"] = Json::object();
    for (const char* status : {"429", "500", "504"}) out[status] = error;
  }
  if (route.method == "POST") {
    for (const char* status : {"408", "413", "415"}) out[status] = error;
  }
  if (route.id == RouteId::kReady) {
    out["503"] = {{"description", "not ready"}, {"content", JsonContent({{"type", "object"}})}};
  } else {
    out["503"] = error;
  }
  for (const char* status : {"400", "401", "403", "404", "405"}) out[status] = error;
  return out;
}

Json Operation(const Route& route) {
  Json out = Json::object();
  if (route.path.ends_with('/')) {
    out["parameters"] = {{{"name", "id"},
                          {"in", "path"},
                          {"required", true},
                          {"schema", {{"type", "string"}, {"minLength", 1}}}}};
  }
  if (const std::optional<Endpoint> endpoint = EndpointOf(route.path)) {
    out["requestBody"] = {{"required", true}, {"content", JsonContent(BodySchema(*endpoint))}};
  }
  out["responses"] = Responses(route);
  return out;
}

Json ErrorSchema() {
  const Json text_or_null = {{"type", {"string", "null"}}};
  const Json inner = {{"type", "object"},
                      {"properties",
                       {{"message", TypeOf("string")},
                        {"type", TypeOf("string")},
                        {"param", text_or_null},
                        {"code", text_or_null}}},
                      {"required", {"message", "type", "param", "code"}}};
  return {{"type", "object"}, {"properties", {{"error", inner}}}, {"required", {"error"}}};
}

}  // namespace

std::optional<Endpoint> EndpointOf(std::string_view path) {
  constexpr std::pair<std::string_view, Endpoint> kEndpoints[] = {{"/v1/chat/completions", kChatEndpoint},
                                                                  {"/v1/completions", kCompletionEndpoint},
                                                                  {"/tokenize", kTokenizeEndpoint},
                                                                  {"/detokenize", kDetokenizeEndpoint}};
  for (const auto& [known, endpoint] : kEndpoints) {
    if (path == known) return endpoint;
  }
  return std::nullopt;
}

Json OpenApiDocument() {
  Json paths = Json::object();
  for (const Route& route : Routes()) {
    if (!(route.listeners & kDataListener)) continue;
    const std::string path = std::string(route.path) + (route.path.ends_with('/') ? "{id}" : "");
    paths[path][route.method == "GET" ? "get" : "post"] = Operation(route);
  }
  const Json error_response = {{"description", "refused or failed, in the API's error form"},
                               {"content", JsonContent(ErrorSchema())}};
  return {{"openapi", "3.1.0"},
          {"info", {{"title", "weir"}, {"version", Version()}}},
          {"paths", std::move(paths)},
          {"components", {{"responses", {{"error", error_response}}}}}};
}

}  // namespace weir
