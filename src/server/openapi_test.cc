#include "server/openapi.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "net/openai/field_reader.h"
#include "net/openai/parameter_table.h"
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

Json BodyOf(const Json& document, std::string_view path) {
  return document["paths"][std::string(path)]["post"]["requestBody"]["content"]["application/json"]["schema"];
}

bool IsRefused(const Field& field) {
  return field.use == FieldUse::kUnsupported || field.use == FieldUse::kTemplateOverride;
}

TEST(OpenApiTest, HasEveryRouteAndNoOther) {
  const Json document = OpenApiDocument();
  size_t count = 0;
  for (const auto& [path, methods] : document["paths"].items()) count += methods.size();
  EXPECT_EQ(count, Routes().size());
  for (const Route& route : Routes()) {
    const std::string path = std::string(route.path) + (route.path.ends_with('/') ? "{id}" : "");
    ASSERT_TRUE(document["paths"].contains(path)) << path;
    EXPECT_TRUE(document["paths"][path].contains(route.method == "GET" ? "get" : "post")) << path;
  }
}

TEST(OpenApiTest, SaysWhereARouteIsAndWhetherItTakesAKey) {
  const Json paths = OpenApiDocument()["paths"];
  const Json key_or_none = ParseJson(R"([{"key": []}, {}])").value();
  EXPECT_EQ(paths["/v1/completions"]["post"]["security"], key_or_none);
  EXPECT_EQ(paths["/v1/completions"]["post"]["tags"], ParseJson(R"(["data"])").value());
  EXPECT_FALSE(paths["/health"]["get"].contains("security"));
  EXPECT_EQ(paths["/health"]["get"]["tags"], ParseJson(R"(["data", "control"])").value());
  EXPECT_EQ(paths["/debug/state"]["get"]["tags"], ParseJson(R"(["control"])").value());
}

TEST(OpenApiTest, DescribesExactlyTheFieldsOfTheTable) {
  const Json document = OpenApiDocument();
  for (const Route& route : Routes()) {
    const std::optional<Endpoint> endpoint = EndpointOf(route.id);
    EXPECT_EQ(endpoint.has_value(), route.method == "POST") << route.path;
    if (!endpoint) continue;
    const Json schema = BodyOf(document, route.path);
    std::set<std::string> described, known;
    for (const auto& [name, unused] : schema["properties"].items()) described.insert(name);
    for (const Field& field : Fields()) {
      if (!(field.endpoints & *endpoint)) continue;
      if (IsRefused(field)) {
        const std::string refused = schema["description"].get<std::string>();
        EXPECT_NE(refused.find(std::string(field.name)), std::string::npos) << field.name;
      } else {
        known.insert(std::string(field.name));
      }
    }
    EXPECT_EQ(described, known) << route.path;
  }
}

TEST(OpenApiTest, SaysOfEveryFieldWhatTheValidatorChecks) {
  const Json document = OpenApiDocument();
  const Json chat = BodyOf(document, "/v1/chat/completions");
  for (const Field& field : Fields()) {
    if (!(field.endpoints & kChatEndpoint) || IsRefused(field) || field.type != FieldType::kNumber) continue;
    const Json& shape = chat["properties"][std::string(field.name)];
    EXPECT_EQ(shape["type"], ParseJson(R"(["number", "null"])").value()) << field.name;
    EXPECT_EQ(shape["maximum"].get<double>(), field.most) << field.name;
    EXPECT_EQ(shape[field.excludes_least ? "exclusiveMinimum" : "minimum"].get<double>(), field.least)
        << field.name;
  }
  const Json n = ParseJson(R"({"type": ["integer", "null"], "minimum": 1, "maximum": 8,
                               "description": "default: 1"})")
                     .value();
  EXPECT_EQ(chat["properties"]["n"], n);
  EXPECT_FALSE(chat["properties"]["seed"].contains("maximum")) << "a bound of the type only";
  EXPECT_EQ(chat["properties"]["model"]["type"], "string") << "required, so never null";
  EXPECT_EQ(chat["required"], ParseJson(R"(["model", "messages"])").value());
}

TEST(OpenApiTest, DescribesToolsMessagesAndFormatsInDepth) {
  const Json chat = BodyOf(OpenApiDocument(), "/v1/chat/completions")["properties"];
  const Json& tool = chat["tools"]["items"];
  EXPECT_EQ(tool["required"], ParseJson(R"(["type", "function"])").value());
  EXPECT_EQ(tool["properties"]["function"]["required"], ParseJson(R"(["name"])").value());
  EXPECT_EQ(chat["tools"]["type"], ParseJson(R"(["array", "null"])").value());
  EXPECT_EQ(chat["tools"]["maxItems"], 128);
  const Json& choices = chat["tool_choice"]["anyOf"];
  ASSERT_EQ(choices.size(), 3u);
  EXPECT_EQ(choices[0]["enum"], ParseJson(R"(["none", "auto", "required"])").value());
  const Json& formats = chat["response_format"]["anyOf"];
  ASSERT_EQ(formats.size(), 3u);
  EXPECT_EQ(formats[0]["properties"]["type"]["enum"], ParseJson(R"(["text", "json_object"])").value());
  EXPECT_EQ(formats[1]["required"], ParseJson(R"(["type", "json_schema"])").value());
  const Json& message = chat["messages"]["items"];
  EXPECT_EQ(message["required"], ParseJson(R"(["role"])").value());
  EXPECT_EQ(message["properties"]["tool_calls"]["items"]["properties"]["function"]["required"],
            ParseJson(R"(["name", "arguments"])").value());
}

TEST(OpenApiTest, EveryReferenceLeadsSomewhere) {
  const Json document = OpenApiDocument();
  const Json flat = document.flatten();
  size_t count = 0;
  for (const auto& [place, value] : flat.items()) {
    if (!place.ends_with("/$ref")) continue;
    ++count;
    const std::string target = value.get<std::string>();
    ASSERT_TRUE(target.starts_with("#/")) << target;
    EXPECT_TRUE(document.contains(Json::json_pointer(target.substr(1)))) << target;
  }
  EXPECT_GT(count, 0u);
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
