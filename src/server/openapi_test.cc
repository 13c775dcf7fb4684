#include "server/openapi.h"

#include <gtest/gtest.h>

#include <string>

#include "net/openai/parameter_table.h"
#include "server/route_table.h"

namespace weir {
namespace {

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

TEST(OpenApiTest, SaysOfEveryFieldWhatTheValidatorChecks) {
  const Json document = OpenApiDocument();
  const Json& chat = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]
                             ["application/json"]["schema"];
  for (const Field& field : Fields()) {
    if (!(field.endpoints & kChatEndpoint)) continue;
    const std::string name(field.name);
    const bool is_refused = field.use == FieldUse::kUnsupported || field.use == FieldUse::kTemplateOverride;
    ASSERT_EQ(chat["properties"].contains(name), !is_refused) << name;
    if (is_refused || field.type != FieldType::kNumber) continue;
    const Json& shape = chat["properties"][name];
    EXPECT_EQ(shape["maximum"].get<double>(), field.most) << name;
    EXPECT_EQ(shape[field.excludes_least ? "exclusiveMinimum" : "minimum"].get<double>(), field.least)
        << name;
  }
  EXPECT_EQ(chat["required"], Json({"model", "messages"}));
}

}  // namespace
}  // namespace weir
