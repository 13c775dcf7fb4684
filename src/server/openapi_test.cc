#include "server/openapi.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/file.h"
#include "net/openai/field_reader.h"
#include "server/route_table.h"

namespace weir {
namespace {

std::string RangeOf(const Field& field) {
  constexpr double kHuge = 9e18;
  const bool is_number = field.type == FieldType::kInteger || field.type == FieldType::kNumber;
  if (!is_number && field.least == 0 && field.most == 0) return "";
  if (field.most > kHuge && field.least < -kHuge) return "64 bits";
  if (field.most > kHuge) return fmt::format("from {}", field.least);
  return fmt::format("{}{} to {}", field.excludes_least ? "above " : "", field.least, field.most);
}

std::string UseOf(const Field& field) {
  switch (field.use) {
    case FieldUse::kUsed:
      return "";
    case FieldUse::kNoEffect:
      return "no effect";
    case FieldUse::kUnsupportedTrue:
      return "only false";
    case FieldUse::kUnsupported:
      return "refused: `unsupported_parameter`";
    case FieldUse::kTemplateOverride:
      return "refused: `template_override_disabled`";
  }
  return "";
}

std::string EndpointsOf(const Field& field) {
  std::string out;
  for (const auto& [bit, name] : {std::pair{kChatEndpoint, "chat"},
                                  {kCompletionEndpoint, "completions"},
                                  {kTokenizeEndpoint, "tokenize"},
                                  {kDetokenizeEndpoint, "detokenize"}}) {
    if (field.endpoints & bit) out += (out.empty() ? "" : ", ") + std::string(name);
  }
  return out;
}

std::string ExpectedTable() {
  std::string out =
      "| Field | Of | Type | Range, bytes or entries | Default | |\n|---|---|---|---|---|---|\n";
  for (const Field& field : Fields()) {
    out += fmt::format("| `{}` | {} | {} | {} | {} | {} |\n", field.name, EndpointsOf(field),
                       TypeName(field.type), RangeOf(field), field.default_text, UseOf(field));
  }
  return out;
}

TEST(OpenApiTest, DescribesExactlyTheFieldsOfTheTable) {
  const Json document = OpenApiDocument();
  for (const Route& route : Routes()) {
    const std::optional<Endpoint> endpoint = EndpointOf(route.path);
    EXPECT_EQ(endpoint.has_value(), route.method == "POST") << route.path;
    if (!endpoint) continue;
    const Json& operation = document["paths"][std::string(route.path)]["post"];
    const Json& schema = operation["requestBody"]["content"]["application/json"]["schema"];
    std::set<std::string> described, known;
    for (const auto& [name, unused] : schema["properties"].items()) described.insert(name);
    for (const Field& field : Fields()) {
      if (!(field.endpoints & *endpoint)) continue;
      if (field.use == FieldUse::kUnsupported || field.use == FieldUse::kTemplateOverride) {
        const std::string refused = schema["description"].get<std::string>();
        EXPECT_NE(refused.find(std::string(field.name)), std::string::npos) << field.name;
      } else {
        known.insert(std::string(field.name));
      }
    }
    EXPECT_EQ(described, known) << route.path;
  }
}

TEST(OpenApiTest, DescribesEveryRouteForClientsAndNoOther) {
  const Json document = OpenApiDocument();
  size_t num_routes = 0;
  for (const Route& route : Routes()) {
    if (!(route.listeners & kDataListener)) continue;
    ++num_routes;
    const std::string path = std::string(route.path) + (route.path.ends_with('/') ? "{id}" : "");
    ASSERT_TRUE(document["paths"].contains(path)) << path;
    EXPECT_TRUE(document["paths"][path].contains(route.method == "GET" ? "get" : "post")) << path;
  }
  EXPECT_EQ(document["paths"].size(), num_routes);
}

TEST(OpenApiTest, GivesTheTablesRanges) {
  const Json document = OpenApiDocument();
  const Json& properties = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]
                                   ["application/json"]["schema"]["properties"];
  EXPECT_EQ(properties["n"]["anyOf"][0], Json({{"type", "integer"}, {"minimum", 1.0}, {"maximum", 8.0}}));
  EXPECT_EQ(properties["top_p"]["anyOf"][0]["exclusiveMinimum"], 0.0);
  EXPECT_EQ(properties["model"]["type"], "string");
}

TEST(OpenApiTest, TheDocumentationHoldsTheSameTable) {
  const Result<std::string> read = ReadFile(std::string(WEIR_SOURCE_DIR) + "/docs/API.md");
  ASSERT_TRUE(read.has_value()) << read.error().message();
  const std::string expected = ExpectedTable();
  EXPECT_NE(read->find(expected), std::string::npos)
      << "docs/API.md does not hold the field table of net/openai/parameter_table.cc, which is now:\n"
      << expected;
}

}  // namespace
}  // namespace weir
