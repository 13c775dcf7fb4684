// Tool calls over real sockets with a tiny model: required ones always come, and come as the API says.

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/integration/api_server.h"

namespace weir {
namespace {

Json Tool(const std::string& name, const Json& properties) {
  Json required = Json::array();
  for (const auto& [key, unused] : properties.items()) required.push_back(key);
  return {{"type", "function"},
          {"function",
           {{"name", name},
            {"description", "does something"},
            {"parameters", {{"type", "object"}, {"properties", properties}, {"required", required}}}}}};
}

Json Body(const Json& tool_choice) {
  return {{"model", "tiny"},
          {"messages", {{{"role", "user"}, {"content", "hi"}}}},
          {"max_tokens", 300},
          {"seed", 5},
          {"parallel_tool_calls", false},
          {"tools",
           {Tool("get_weather", {{"city", {{"type", "string"}, {"maxLength", 6}}}}),
            Tool("add", {{"a", {{"type", "integer"}}}, {"b", {{"type", "integer"}}}})}},
          {"tool_choice", tool_choice}};
}

void ExpectCall(const std::string& name, const std::string& arguments) {
  const Result<Json> parsed = ParseJson(arguments);
  ASSERT_TRUE(parsed.has_value()) << arguments;
  if (name == "add") {
    EXPECT_TRUE((*parsed)["a"].is_number_integer() && (*parsed)["b"].is_number_integer()) << arguments;
  } else {
    EXPECT_EQ(name, "get_weather");
    EXPECT_TRUE((*parsed)["city"].is_string()) << arguments;
  }
}

TEST(ServerToolsTest, ARequiredCallAlwaysComes) {
  const ApiServer server;
  for (int seed = 0; seed < 5; ++seed) {
    Json body = Body("required");
    body["seed"] = seed;
    const Json answer = server.Ask("/v1/chat/completions", body);
    const Json& choice = answer["choices"][0];
    EXPECT_EQ(choice["finish_reason"], "tool_calls");
    EXPECT_TRUE(choice["message"]["content"].is_null());
    ASSERT_EQ(choice["message"]["tool_calls"].size(), 1u);
    const Json& call = choice["message"]["tool_calls"][0];
    EXPECT_EQ(call["type"], "function");
    EXPECT_FALSE(call["id"].get<std::string>().empty());
    ExpectCall(call["function"]["name"].get<std::string>(), call["function"]["arguments"].get<std::string>());
  }
}

TEST(ServerToolsTest, ANamedToolIsTheOneThatIsCalled) {
  const ApiServer server;
  const Json answer =
      server.Ask("/v1/chat/completions", Body({{"type", "function"}, {"function", {{"name", "add"}}}}));
  EXPECT_EQ(answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "add");
}

TEST(ServerToolsTest, OA10StreamedCallsJoinToTheSame) {
  const ApiServer server;
  const Json body = Body("required");
  const Json answer = server.Ask("/v1/chat/completions", body);
  const Json& whole = answer["choices"][0]["message"]["tool_calls"][0];
  std::string name, arguments, finish_reason;
  int num_ids = 0, num_names = 0, num_pieces = 0;
  for (const Json& chunk : server.Stream("/v1/chat/completions", body)) {
    const Json& choice = chunk["choices"][0];
    if (!choice["finish_reason"].is_null()) finish_reason = choice["finish_reason"].get<std::string>();
    if (!choice["delta"].contains("tool_calls")) continue;
    for (const Json& call : choice["delta"]["tool_calls"]) {
      EXPECT_EQ(call["index"], 0);
      num_ids += call.contains("id") ? 1 : 0;
      num_names += call["function"].contains("name") ? 1 : 0;
      num_pieces += call["function"]["arguments"].empty() ? 0 : 1;
      if (call["function"].contains("name")) name += call["function"]["name"].get<std::string>();
      arguments += call["function"]["arguments"].get<std::string>();
    }
  }
  EXPECT_EQ(num_ids, 1);
  EXPECT_EQ(num_names, 1);
  EXPECT_GT(num_pieces, 2);
  EXPECT_EQ(name, whole["function"]["name"].get<std::string>());
  EXPECT_EQ(arguments, whole["function"]["arguments"].get<std::string>());
  EXPECT_EQ(finish_reason, "tool_calls");
}

TEST(ServerToolsTest, AutoAndNoneLeaveTheTextFree) {
  const ApiServer server;
  for (const char* choice : {"auto", "none"}) {
    const Json answer = server.Ask("/v1/chat/completions", Body(choice));
    EXPECT_TRUE(answer["choices"][0]["message"]["content"].is_string());
  }
  // Tools are in the prompt unless they are not to be called.
  const int with = server.Ask("/v1/chat/completions", Body("auto"))["usage"]["prompt_tokens"].get<int>();
  const int without = server.Ask("/v1/chat/completions", Body("none"))["usage"]["prompt_tokens"].get<int>();
  EXPECT_GT(with, without + 50);
}

TEST(ServerToolsTest, AConversationWithCallsAndAnswersIsRendered) {
  const ApiServer server;
  Json body = Body("auto");
  body["messages"] = {{{"role", "user"}, {"content", "1 + 2?"}},
                      {{"role", "assistant"},
                       {"content", nullptr},
                       {"tool_calls",
                        {{{"id", "c1"},
                          {"type", "function"},
                          {"function", {{"name", "add"}, {"arguments", "{\"a\": 1, \"b\": 2}"}}}}}}},
                      {{"role", "tool"}, {"tool_call_id", "c1"}, {"content", "3"}}};
  body["max_tokens"] = 5;
  const Json answer = server.Ask("/v1/chat/completions", body);
  EXPECT_GT(answer["usage"]["prompt_tokens"].get<int>(), 100);
}

TEST(ServerToolsTest, ASchemaThatCannotBeEnforcedIsRefused) {
  const ApiServer server;
  Json body = Body("required");
  body["tools"][0]["function"]["parameters"]["minProperties"] = 1;
  EXPECT_EQ(server.Refusal("/v1/chat/completions", body), "400 unsupported_schema tools");
  body["tool_choice"] = "auto";
  EXPECT_EQ(server.Refusal("/v1/chat/completions", body), "200");
}

}  // namespace
}  // namespace weir
