#include "server/body_schema.h"

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <utility>

namespace weir {
namespace {

// A bound that no client can reach is one of the type, not of the field.
constexpr double kHuge = 9e18;

Json TypeOf(const char* type) { return {{"type", type}}; }

// Whole numbers without a point.
Json NumberOf(double value) {
  return value == std::floor(value) && std::abs(value) < 1e15 ? Json(static_cast<int64_t>(value))
                                                              : Json(value);
}

Json ListOf(Json items, double least, double most) {
  return {{"type", "array"},
          {"items", std::move(items)},
          {"minItems", NumberOf(least)},
          {"maxItems", NumberOf(most)}};
}

Json ObjectOf(Json properties, Json required) {
  return {{"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}};
}

Json TokenId() { return {{"type", "integer"}, {"minimum", 0}}; }

Json MessageSchema() {
  const Json part =
      ObjectOf({{"type", {{"const", "text"}}}, {"text", TypeOf("string")}}, Json::array({"type", "text"}));
  const Json function = ObjectOf({{"name", TypeOf("string")}, {"arguments", TypeOf("string")}},
                                 Json::array({"name", "arguments"}));
  const Json call =
      ObjectOf({{"id", TypeOf("string")}, {"type", {{"const", "function"}}}, {"function", function}},
               Json::array({"id", "type", "function"}));
  const Json parts = {{"type", "array"}, {"items", part}};
  return ObjectOf(
      {{"role", {{"enum", {"system", "developer", "user", "assistant", "tool"}}}},
       {"content",
        {{"description", "null only in messages of the assistant"},
         {"anyOf", Json::array({TypeOf("string"), parts, TypeOf("null")})}}},
       {"name", {{"type", {"string", "null"}}}},
       {"tool_calls",
        {{"description", "only in messages of the assistant"}, {"type", {"array", "null"}}, {"items", call}}},
       {"tool_call_id", {{"type", {"string", "null"}}}}},
      Json::array({"role"}));
}

Json ResponseFormatSchema() {
  const Json inner = ObjectOf({{"name", TypeOf("string")},
                               {"description", TypeOf("string")},
                               {"schema", TypeOf("object")},
                               {"strict", {{"type", {"boolean", "null"}}}}},
                              Json::array({"schema"}));
  const Json plain = ObjectOf({{"type", {{"enum", {"text", "json_object"}}}}}, Json::array({"type"}));
  const Json schema = ObjectOf({{"type", {{"const", "json_schema"}}}, {"json_schema", inner}},
                               Json::array({"type", "json_schema"}));
  return {{"anyOf", Json::array({plain, schema})}};
}

Json ToolSchema() {
  const Json function = ObjectOf({{"name", {{"type", "string"}, {"pattern", "^[a-zA-Z0-9_.-]{1,64}$"}}},
                                  {"description", TypeOf("string")},
                                  {"parameters", {{"type", {"object", "null"}}}}},
                                 Json::array({"name"}));
  return ObjectOf({{"type", {{"const", "function"}}}, {"function", function}},
                  Json::array({"type", "function"}));
}

Json ToolChoiceSchema() {
  const Json function = ObjectOf({{"name", TypeOf("string")}}, Json::array({"name"}));
  const Json named = ObjectOf({{"type", {{"const", "function"}}}, {"function", function}},
                              Json::array({"type", "function"}));
  const Json word = {{"enum", {"none", "auto", "required"}}};
  return {{"anyOf", Json::array({word, named})}};
}

Json PromptSchema(Endpoint endpoint) {
  const Json text = {{"type", "string"}, {"minLength", 1}};
  if (endpoint == kTokenizeEndpoint) return TypeOf("string");
  const Json ids = {{"type", "array"}, {"items", TokenId()}, {"minItems", 1}};
  const Json one = {{"anyOf", Json::array({text, ids})}};
  return {{"anyOf", Json::array({text, ids, ListOf(one, 1, 32)})}};
}

// What a field holds, where its type alone does not say it. Null: the table says all.
Json InnerSchema(const Field& field, Endpoint endpoint) {
  const std::string_view name = field.name;
  if (name == "messages") return ListOf(MessageSchema(), field.least, field.most);
  if (name == "prompt") return PromptSchema(endpoint);
  if (name == "model") {
    return {{"type", "string"},
            {"minLength", NumberOf(field.least)},
            {"maxLength", NumberOf(field.most)},
            {"pattern", "^[A-Za-z0-9._:/-]+$"}};
  }
  if (name == "stop" || name == "bad_words") {
    const Json text = {{"type", "string"}, {"minLength", 1}, {"maxLength", name == "stop" ? 256 : 64}};
    return {{"anyOf", Json::array({text, ListOf(text, field.least, field.most)})}};
  }
  if (name == "logit_bias") {
    return {{"type", "object"},
            {"maxProperties", NumberOf(field.most)},
            {"propertyNames", {{"pattern", "^[0-9]+$"}}},
            {"additionalProperties", {{"type", "number"}, {"minimum", -100}, {"maximum", 100}}}};
  }
  if (name == "metadata") {
    return {{"type", "object"},
            {"maxProperties", NumberOf(field.most)},
            {"additionalProperties", {{"type", "string"}, {"maxLength", 512}}}};
  }
  if (name == "stream_options") {
    Json properties = Json::object();
    for (const char* option : {"include_usage", "continuous_usage_stats", "include_obfuscation"})
      properties[option] = TypeOf("boolean");
    return {{"type", "object"}, {"properties", std::move(properties)}};
  }
  if (name == "modalities") return ListOf({{"const", "text"}}, field.least, field.most);
  if (name == "service_tier") return {{"enum", {"auto", "default", "priority", "flex"}}};
  if (name == "response_format") return ResponseFormatSchema();
  if (name == "tools") return ListOf(ToolSchema(), field.least, field.most);
  if (name == "tool_choice") return ToolChoiceSchema();
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
      if (field.least > -kHuge)
        out[field.excludes_least ? "exclusiveMinimum" : "minimum"] = NumberOf(field.least);
      if (field.most < kHuge) out["maximum"] = NumberOf(field.most);
      return out;
    }
    case FieldType::kString: {
      Json out = TypeOf("string");
      if (field.least > 0) out["minLength"] = NumberOf(field.least);
      if (field.most > 0) out["maxLength"] = NumberOf(field.most);
      return out;
    }
    case FieldType::kIntegers:
      return ListOf(TokenId(), field.least, field.most);
    case FieldType::kStringOrStrings:
      return {{"anyOf", Json::array({TypeOf("string"), ListOf(TypeOf("string"), field.least, field.most)})}};
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

// As "null means absent" has it.
Json OrNull(Json schema) {
  if (schema.contains("type") && schema["type"].is_string()) {
    schema["type"] = Json::array({schema["type"], "null"});
  } else if (schema.contains("anyOf")) {
    schema["anyOf"].push_back(TypeOf("null"));
  } else if (!schema.empty()) {
    schema = {{"anyOf", Json::array({std::move(schema), TypeOf("null")})}};
  }
  return schema;
}

Json FieldSchema(const Field& field, Endpoint endpoint) {
  Json schema = InnerSchema(field, endpoint);
  if (schema.is_null()) schema = BaseSchema(field);
  if (!IsRequired(field, endpoint)) schema = OrNull(std::move(schema));
  if (field.use == FieldUse::kNoEffect || field.use == FieldUse::kUnsupportedTrue) {
    schema["description"] = "accepted, without effect";
  } else if (!field.default_text.empty() && field.default_text != "required") {
    schema["description"] = fmt::format("default: {}", field.default_text);
  }
  return schema;
}

}  // namespace

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
    const Json prompt = {{"required", Json::array({"prompt"})}};
    const Json messages = {{"required", Json::array({"messages"})}};
    schema["anyOf"] = Json::array({prompt, messages});
  }
  if (!refused.empty()) schema["description"] = "refused when not null: " + refused;
  return schema;
}

}  // namespace weir
