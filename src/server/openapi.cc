#include "server/openapi.h"

#include <string>
#include <utility>

#include "base/version.h"
#include "server/body_schema.h"

namespace weir {
namespace {

Json TypeOf(const char* type) { return {{"type", type}}; }

Json JsonContent(Json schema) { return {{"application/json", {{"schema", std::move(schema)}}}}; }

Json ErrorSchema() {
  const Json text_or_null = {{"type", {"string", "null"}}};
  const Json inner = {{"type", "object"},
                      {"properties",
                       {{"message", TypeOf("string")},
                        {"type", TypeOf("string")},
                        {"param", text_or_null},
                        {"code", text_or_null}}},
                      {"required", {"message", "type", "param", "code"}}};
  return {{"type", "object"}, {"properties", {{"error", inner}}}, {"required", Json::array({"error"})}};
}

Json Responses(const Route& route) {
  const Json error = {{"$ref", "#/components/responses/Error"}};
  Json answer = {{"description", "The answer."}};
  if (route.id == RouteId::kMetrics) {
    answer["content"]["text/plain"] = Json::object();
  } else if (route.id == RouteId::kDebugRequests) {
    answer["content"]["application/x-ndjson"] = Json::object();
  } else {
    answer["content"] = JsonContent(TypeOf("object"));
  }
  Json out = Json::object();
  for (const char* status : {"400", "401", "403", "404", "405", "503"}) out[status] = error;
  if (route.method == "POST") {
    for (const char* status : {"408", "413", "415", "429"}) out[status] = error;
  }
  if (route.id == RouteId::kChatCompletions || route.id == RouteId::kCompletions) {
    answer["content"]["text/event-stream"] = Json::object();
    for (const char* status : {"500", "504"}) out[status] = error;
  }
  if (route.id == RouteId::kHealth || route.id == RouteId::kReady)
    out["503"] = {{"description", "No, and why."}, {"content", JsonContent(TypeOf("object"))}};
  out["200"] = std::move(answer);
  return out;
}

Json Operation(const Route& route) {
  Json out = {{"tags", Json::array()}};
  if (route.listeners & kDataListener) out["tags"].push_back("data");
  if (route.listeners & kControlListener) out["tags"].push_back("control");
  if (route.path.ends_with('/')) {
    const Json id = {{"name", "id"},
                     {"in", "path"},
                     {"required", true},
                     {"schema", {{"type", "string"}, {"minLength", 1}}}};
    out["parameters"] = Json::array({id});
  }
  if (const std::optional<Endpoint> endpoint = EndpointOf(route.id))
    out["requestBody"] = {{"required", true}, {"content", JsonContent(BodySchema(*endpoint))}};
  out["responses"] = Responses(route);
  // A key, or none where the operator asks for none. What may be public is open to whom the operator opens it.
  if (!route.may_be_public && (route.listeners & kDataListener))
    out["security"] = Json::array({{{"key", Json::array()}}, Json::object()});
  return out;
}

}  // namespace

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

Json OpenApiDocument() {
  Json paths = Json::object();
  for (const Route& route : Routes()) {
    const std::string path = std::string(route.path) + (route.path.ends_with('/') ? "{id}" : "");
    paths[path][route.method == "GET" ? "get" : "post"] = Operation(route);
  }
  const Json error = {{"description", "Refused or failed, and why."},
                      {"content", JsonContent({{"$ref", "#/components/schemas/Error"}})}};
  return {{"openapi", "3.1.0"},
          {"info", {{"title", "weir"}, {"version", Version()}}},
          {"paths", std::move(paths)},
          {"components",
           {{"schemas", {{"Error", ErrorSchema()}}},
            {"responses", {{"Error", error}}},
            {"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}}}}};
}

}  // namespace weir
