#include "server/openapi.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "base/version.h"
#include "net/openai/parameter_table.h"
#include "server/route_table.h"

namespace weir {
namespace {

std::optional<Endpoint> EndpointOf(RouteId id) {
  switch (id) {
    case RouteId::kChatCompletions:
      return kChatEndpoint;
    case RouteId::kCompletions:
      return kCompletionEndpoint;
    case RouteId::kTokenize:
      return kTokenizeEndpoint;
    case RouteId::kDetokenize:
      return kDetokenizeEndpoint;
    default:
      return std::nullopt;
  }
}

Json Range(const Field& field, const char* least, const char* most) {
  Json out = Json::object();
  if (field.least == 0 && field.most == 0) return out;
  const auto number = [](double value) {
    return std::abs(value) < 1e15 && value == std::floor(value) ? Json(static_cast<int64_t>(value))
                                                                : Json(value);
  };
  out[least] = number(field.least);
  // A bound that no client can reach is a bound of the type, not of the field.
  if (field.most < 9e18) out[most] = number(field.most);
  if (field.least < -9e18) out.erase(least);
  return out;
}

Json ShapeOf(const Field& field) {
  switch (field.type) {
    case FieldType::kBool:
      return {{"type", {"boolean", "null"}}};
    case FieldType::kInteger: {
      Json out = {{"type", {"integer", "null"}}};
      out.update(Range(field, field.excludes_least ? "exclusiveMinimum" : "minimum", "maximum"));
      return out;
    }
    case FieldType::kNumber: {
      Json out = {{"type", {"number", "null"}}};
      out.update(Range(field, field.excludes_least ? "exclusiveMinimum" : "minimum", "maximum"));
      return out;
    }
    case FieldType::kString: {
      Json out = {{"type", {"string", "null"}}};
      out.update(Range(field, "minLength", "maxLength"));
      return out;
    }
    case FieldType::kStringOrStrings: {
      Json list = {{"type", "array"}, {"items", {{"type", "string"}}}};
      list.update(Range(field, "minItems", "maxItems"));
      return {{"anyOf", {{{"type", "string"}}, std::move(list), {{"type", "null"}}}}};
    }
    case FieldType::kIntegers: {
      Json out = {{"type", {"array", "null"}}, {"items", {{"type", "integer"}}}};
      out.update(Range(field, "minItems", "maxItems"));
      return out;
    }
    case FieldType::kObject: {
      Json out = {{"type", {"object", "null"}}};
      out.update(Range(field, "minProperties", "maxProperties"));
      return out;
    }
    case FieldType::kArray: {
      Json out = {{"type", {"array", "null"}}};
      out.update(Range(field, "minItems", "maxItems"));
      return out;
    }
    case FieldType::kAny:
      break;
  }
  return Json::object();
}

std::string Describe(const Field& field) {
  if (field.use == FieldUse::kNoEffect) return "Accepted, without effect.";
  if (field.use == FieldUse::kUnsupportedTrue) return "Only false is accepted.";
  return field.default_text.empty() || field.default_text == "required"
             ? ""
             : fmt::format("Default: {}.", field.default_text);
}

Json BodySchema(Endpoint endpoint) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const Field& field : Fields()) {
    const bool is_refused = field.use == FieldUse::kUnsupported || field.use == FieldUse::kTemplateOverride;
    if (!(field.endpoints & endpoint) || is_refused) continue;
    Json shape = ShapeOf(field);
    if (const std::string text = Describe(field); !text.empty()) shape["description"] = text;
    const std::string name(field.name);
    properties[name] = std::move(shape);
    // Tokenize takes either of two.
    if (field.default_text == "required" && endpoint != kTokenizeEndpoint) required.push_back(name);
  }
  Json schema = {{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) schema["required"] = std::move(required);
  return schema;
}

Json ErrorSchema() {
  const Json text_or_null = {{"type", {"string", "null"}}};
  return {{"type", "object"},
          {"required", Json::array({"error"})},
          {"properties",
           {{"error",
             {{"type", "object"},
              {"required", {"message", "type", "param", "code"}},
              {"properties",
               {{"message", {{"type", "string"}}},
                {"type", {{"type", "string"}}},
                {"param", text_or_null},
                {"code", text_or_null}}}}}}}};
}

Json Operation(const Route& route) {
  Json operation = {{"tags", Json::array({route.listeners & kDataListener ? "data" : "control"})}};
  if (route.path.ends_with('/')) {
    const Json id = {{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}};
    operation["parameters"] = Json::array({id});
  }
  if (const std::optional<Endpoint> endpoint = EndpointOf(route.id)) {
    operation["requestBody"] = {{"required", true},
                                {"content", {{"application/json", {{"schema", BodySchema(*endpoint)}}}}}};
  }
  operation["responses"] = {
      {"200", {{"description", "The answer."}}},
      {"default",
       {{"description", "Why there is none."},
        {"content", {{"application/json", {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}}}};
  if (!route.may_be_public && (route.listeners & kDataListener))
    operation["security"] = {{{"key", Json::array()}}, Json::object()};
  return operation;
}

}  // namespace

Json OpenApiDocument() {
  Json paths = Json::object();
  for (const Route& route : Routes()) {
    const std::string path = std::string(route.path) + (route.path.ends_with('/') ? "{id}" : "");
    paths[path][route.method == "GET" ? "get" : "post"] = Operation(route);
  }
  return {{"openapi", "3.1.0"},
          {"info", {{"title", "weir"}, {"version", Version()}}},
          {"paths", std::move(paths)},
          {"components",
           {{"schemas", {{"Error", ErrorSchema()}}},
            {"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}}}}};
}

}  // namespace weir
