// response_format over real sockets with a tiny model, whose free text is noise: whatever comes out obeys the schema.

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/integration/api_server.h"

namespace weir {
namespace {

Json Schema() {
  return {{"type", "object"},
          {"properties",
           {{"name", {{"type", "string"}, {"maxLength", 8}}},
            {"kind", {{"enum", {"a", "b"}}}},
            {"tags", {{"type", "array"}, {"items", {{"type", "integer"}}}, {"maxItems", 3}}}}},
          {"required", {"name", "kind", "tags"}},
          {"additionalProperties", false}};
}

Json Format(const Json& schema) {
  return {{"type", "json_schema"}, {"json_schema", {{"name", "x"}, {"schema", schema}, {"strict", true}}}};
}

Json Body(const Json& format) {
  return {{"model", "tiny"},
          {"messages", {{{"role", "user"}, {"content", "hi"}}}},
          {"max_tokens", 200},
          {"response_format", format}};
}

void ExpectObeys(const std::string& text) {
  const Result<Json> value = ParseJson(text);
  ASSERT_TRUE(value.has_value()) << text;
  ASSERT_TRUE(value->is_object() && value->size() == 3) << text;
  EXPECT_TRUE((*value)["name"].is_string());
  EXPECT_TRUE((*value)["kind"] == "a" || (*value)["kind"] == "b");
  EXPECT_LE((*value)["tags"].size(), 3u);
  for (const Json& tag : (*value)["tags"]) EXPECT_TRUE(tag.is_number_integer());
}

TEST(ServerGrammarTest, AnswersObeyTheSchemaGreedyOrNotStreamedOrNot) {
  const ApiServer server;
  for (const int temperature : {0, 1, 2}) {
    Json body = Body(Format(Schema()));
    body["temperature"] = temperature;
    body["seed"] = 7;
    body["n"] = 3;
    const Json whole = server.Ask("/v1/chat/completions", body);
    std::vector<std::string> texts(3);
    for (const Json& choice : whole["choices"]) {
      EXPECT_EQ(choice["finish_reason"], "stop");
      texts[choice["index"].get<size_t>()] = choice["message"]["content"].get<std::string>();
      ExpectObeys(choice["message"]["content"].get<std::string>());
    }
    std::vector<std::string> streamed(3);
    for (const Json& chunk : server.Stream("/v1/chat/completions", body)) {
      for (const Json& choice : chunk["choices"]) {
        if (choice["delta"].contains("content"))
          streamed[choice["index"].get<size_t>()] += choice["delta"]["content"].get<std::string>();
      }
    }
    EXPECT_EQ(streamed, texts);
  }
}

TEST(ServerGrammarTest, JsonObjectGivesAnObjectOrRunsOutOfTokens) {
  const ApiServer server;
  for (int seed = 0; seed < 5; ++seed) {
    Json body = Body({{"type", "json_object"}});
    body["seed"] = seed;
    const Json answer = server.Ask("/v1/chat/completions", body);
    const Json& choice = answer["choices"][0];
    const std::string text = choice["message"]["content"].get<std::string>();
    EXPECT_EQ(text.substr(0, 1), "{");
    if (choice["finish_reason"] == "stop") {
      EXPECT_TRUE(Json::parse(text, nullptr, false).is_object()) << text;
    }
  }
}

TEST(ServerGrammarTest, NeitherMinTokensNorIgnoreEosNorBadWordsBreakTheSchema) {
  const ApiServer server;
  Json body = Body(Format(Schema()));
  body["min_tokens"] = 150;
  body["ignore_eos"] = true;
  body["bad_words"] = {"}", "\""};
  const Json answer = server.Ask("/v1/chat/completions", body);
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "stop");
  ExpectObeys(answer["choices"][0]["message"]["content"].get<std::string>());
}

TEST(ServerGrammarTest, FreeRequestsBesideAConstrainedOneKeepTheirText) {
  const ApiServer server;
  const Json free_body = {{"model", "tiny"},    {"prompt", "hello"},  {"max_tokens", 40},
                          {"temperature", 0.8}, {"ignore_eos", true}, {"seed", 11}};
  const Json alone = server.Ask("/v1/completions", free_body);
  std::string beside;
  std::thread other([&] { beside = DumpJson(server.Ask("/v1/completions", free_body)["choices"]); });
  server.Ask("/v1/chat/completions", Body(Format(Schema())));
  other.join();
  EXPECT_EQ(beside, DumpJson(alone["choices"]));
}

TEST(ServerGrammarTest, WhatCannotBeEnforcedIsRefusedAndNothingStaysBehind) {
  ApiServer server;
  const std::string where = " response_format.json_schema.schema";
  EXPECT_EQ(
      server.Refusal("/v1/chat/completions", Body(Format({{"type", "string"}, {"not", Json::object()}}))),
      "400 unsupported_schema" + where);
  EXPECT_EQ(server.Refusal("/v1/chat/completions", Body(Format({{"$ref", "http://127.0.0.1:1/x"}}))),
            "400 unsupported_schema" + where);
  EXPECT_EQ(server.Refusal("/v1/chat/completions",
                           Body({{"type", "json_schema"}, {"json_schema", {{"name", "x"}}}})),
            "400 missing_required_parameter" + where);
  EXPECT_EQ(server.engine().num_free_kv_blocks(), server.engine().num_kv_blocks());
  EXPECT_TRUE(server.engine().idle());
}

}  // namespace
}  // namespace weir
