#include "net/openai/request_parser.h"

#include <gtest/gtest.h>

#include <string>

namespace weir {
namespace {

constexpr char kMessages[] = R"("messages":[{"role":"user","content":"hi"}])";

std::string Chat(const std::string& more) {
  return std::string(R"({"model":"m",)") + kMessages + (more.empty() ? "" : ",") + more + "}";
}

std::string Completion(const std::string& more) {
  return std::string(R"({"model":"m")") + (more.empty() ? "" : ",") + more + "}";
}

// "code param" of the refusal, or "accepted".
template <typename T>
std::string Outcome(const Result<T>& result) {
  if (result.has_value()) return "accepted";
  EXPECT_EQ(result.error().code(), StatusCode::kInvalidArgument);
  return result.error().reason() + " " + result.error().param();
}

std::string OfChat(const std::string& more) { return Outcome(ParseChatRequest(Chat(more))); }
std::string OfCompletion(const std::string& more) {
  return Outcome(ParseCompletionRequest(Completion(more)));
}

TEST(RequestParserTest, ReadsEveryFieldOfAChatRequest) {
  const auto request = ParseChatRequest(
      R"({"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[
      {"type":"text","text":"a"},{"type":"text","text":"b"}],"name":"bob"}],"max_tokens":3,"max_completion_tokens":7,
      "min_tokens":2,"ignore_eos":true,"temperature":0,"top_p":0.5,"min_p":0.1,"top_k":40,"presence_penalty":-1,
      "frequency_penalty":1,"repetition_penalty":1.5,"seed":-3,"stop":["x","y"],"stop_token_ids":[1,2],
      "logit_bias":{"5":-100,"6":1.5},"logprobs":true,"top_logprobs":4,"n":2,"stream":true,
      "stream_options":{"include_usage":true},"response_format":{"type":"text"},"user":"u","return_token_ids":true})");
  ASSERT_TRUE(request.has_value()) << request.error().message();
  EXPECT_EQ(request->messages.size(), 2u);
  EXPECT_EQ(request->messages[1].content, "ab");
  EXPECT_EQ(request->messages[1].name, "bob");
  EXPECT_EQ(request->max_tokens, 7);
  EXPECT_EQ(request->min_tokens, 2);
  EXPECT_TRUE(request->ignore_eos);
  EXPECT_EQ(request->temperature, 0);
  EXPECT_EQ(request->top_p, 0.5);
  EXPECT_EQ(request->top_k, 40);
  EXPECT_EQ(request->repetition_penalty, 1.5);
  EXPECT_EQ(request->seed, -3);
  EXPECT_EQ(request->stop, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(request->stop_token_ids, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(request->logit_bias.size(), 2u);
  EXPECT_EQ(request->num_logprobs, 4);
  EXPECT_EQ(request->n, 2);
  EXPECT_TRUE(request->stream);
  EXPECT_TRUE(request->include_usage);
  EXPECT_TRUE(request->return_token_ids);
  EXPECT_TRUE(request->ignored_fields.empty());
}

TEST(RequestParserTest, TakesNullForAbsent) {
  const auto request = ParseChatRequest(Chat(
      R"("temperature":null,"stop":null,"max_tokens":null,"tools":null,"response_format":null,"seed":null)"));
  ASSERT_TRUE(request.has_value()) << request.error().message();
  EXPECT_EQ(request->temperature, 1.0);
  EXPECT_FALSE(request->max_tokens.has_value());
  EXPECT_FALSE(request->seed.has_value());
}

TEST(RequestParserTest, IgnoresAndNamesUnknownFields) {
  const auto request = ParseChatRequest(Chat(R"("n_discard":-1,"mirostat":2)"));
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->ignored_fields, (std::vector<std::string>{"n_discard", "mirostat"}));
}

TEST(RequestParserTest, NamesTheFieldThatAnUnknownOneIsNearestTo) {
  const auto request = ParseChatRequest(Chat(R"("temprature":1)"));
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->ignored_fields, (std::vector<std::string>{"temprature (nearest: temperature)"}));
}

TEST(RequestParserTest, AcceptsWhatHasNoEffectWithinItsBounds) {
  EXPECT_EQ(OfChat(R"("metadata":{"a":"b"},"user":"u","store":false,"prompt_cache_key":"k")"), "accepted");
  EXPECT_EQ(OfChat(R"("metadata":{"a":1})"), "invalid_type metadata.a");
  EXPECT_EQ(OfChat("\"metadata\":{\"a\":\"" + std::string(513, 'x') + "\"}"), "invalid_value metadata.a");
  EXPECT_EQ(OfChat("\"user\":\"" + std::string(513, 'x') + "\""), "invalid_value user");
}

TEST(RequestParserTest, ReadsPromptsOfEveryKind) {
  const auto text = ParseCompletionRequest(Completion(R"("prompt":"hello")"));
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(std::get<std::string>(text->prompts[0]), "hello");
  const auto ids = ParseCompletionRequest(Completion(R"("prompt":[1,2,3])"));
  ASSERT_TRUE(ids.has_value());
  ASSERT_EQ(ids->prompts.size(), 1u);
  EXPECT_EQ(std::get<1>(ids->prompts[0]), (std::vector<int64_t>{1, 2, 3}));
  const auto mixed =
      ParseCompletionRequest(Completion(R"("prompt":["a",[4]],"logprobs":0,"echo":true,"max_tokens":0)"));
  ASSERT_TRUE(mixed.has_value());
  EXPECT_EQ(mixed->prompts.size(), 2u);
  EXPECT_EQ(mixed->num_logprobs, 0);
  EXPECT_EQ(mixed->max_tokens, 0);
}

TEST(HostileApiTest, A1CapsCandidates) {
  for (const char* n : {"9", "1000000000", "-1", "0"})
    EXPECT_EQ(OfChat(std::string("\"n\":") + n), "invalid_value n");
  for (const char* n : {"1.5", "\"2\"", "1.0"})
    EXPECT_EQ(OfChat(std::string("\"n\":") + n), "invalid_type n");
  EXPECT_EQ(OfCompletion(R"("prompt":"a","best_of":9)"), "invalid_value best_of");
  EXPECT_EQ(OfCompletion(R"("prompt":"a","n":2,"best_of":3)"), "invalid_value best_of");
  EXPECT_EQ(OfCompletion(R"("prompt":"a","n":2,"best_of":2)"), "accepted");
}

TEST(HostileApiTest, A2CapsLists) {
  std::string many = "\"stop\":[\"a\"";
  for (int i = 0; i < 500000; ++i) many += ",\"a\"";
  EXPECT_EQ(OfChat(many + "]"), "invalid_value stop");
  EXPECT_EQ(OfChat(R"("stop":"")"), "invalid_value stop");
  EXPECT_EQ(OfChat(R"("stop":["a",""])"), "invalid_value stop[1]");
  EXPECT_EQ(OfChat(R"("stop":["a",1])"), "invalid_type stop[1]");
  std::string words = "\"bad_words\":[\"a\"";
  for (int i = 0; i < 50000; ++i) words += ",\"a\"";
  EXPECT_EQ(OfChat(words + "]"), "invalid_value bad_words");
  EXPECT_EQ(OfChat(R"("bad_words":["a",""])"), "invalid_value bad_words[1]");
  EXPECT_EQ(OfChat("\"bad_words\":[\"" + std::string(65, 'a') + "\"]"), "invalid_value bad_words[0]");
  EXPECT_EQ(OfChat(R"("bad_words":["a","bc"])"), "accepted");
  std::string biases = "\"logit_bias\":{\"0\":1";
  for (int i = 1; i < 1025; ++i) biases += ",\"" + std::to_string(i) + "\":1";
  EXPECT_EQ(OfChat(biases + "}"), "invalid_value logit_bias");
  EXPECT_EQ(OfChat(R"("logit_bias":{"x":1})"), "invalid_value logit_bias.x");
  EXPECT_EQ(OfChat(R"("logit_bias":{"1":101})"), "invalid_value logit_bias.1");
  EXPECT_EQ(OfChat(R"("logit_bias":{"1":NaN})"), "invalid_json ");
}

TEST(HostileApiTest, A3CapsLogprobs) {
  EXPECT_EQ(OfChat(R"("logprobs":true,"top_logprobs":21)"), "invalid_value top_logprobs");
  EXPECT_EQ(OfChat(R"("logprobs":true,"top_logprobs":-1)"), "invalid_value top_logprobs");
  EXPECT_EQ(OfChat(R"("top_logprobs":1)"), "invalid_value top_logprobs");
  EXPECT_EQ(OfChat(R"("logprobs":5)"), "invalid_type logprobs");
  EXPECT_EQ(OfCompletion(R"("prompt":"a","logprobs":49152)"), "invalid_value logprobs");
  EXPECT_EQ(OfCompletion(R"("prompt":"a","logprobs":true)"), "invalid_type logprobs");
  for (const char* count : {"-1", "21", "49152"})
    EXPECT_EQ(OfChat(std::string("\"prompt_logprobs\":") + count), "invalid_value prompt_logprobs");
  EXPECT_EQ(OfChat(R"("prompt_logprobs":1,"stream":true)"), "invalid_value prompt_logprobs");
  EXPECT_EQ(OfChat(R"("prompt_logprobs":20)"), "accepted");
}

TEST(HostileApiTest, A4RefusesEmptyAndForeignPrompts) {
  EXPECT_EQ(OfCompletion(R"("prompt":"")"), "invalid_value prompt");
  EXPECT_EQ(OfCompletion(R"("prompt":[])"), "invalid_value prompt");
  EXPECT_EQ(OfCompletion(R"("prompt":[[]])"), "invalid_value prompt[0]");
  EXPECT_EQ(OfCompletion(R"("prompt":[""])"), "invalid_value prompt[0]");
  EXPECT_EQ(OfCompletion(R"("prompt":["a",[1,-1]])"), "invalid_value prompt[1][1]");
  EXPECT_EQ(OfCompletion(R"("prompt":[9223372036854775808])"), "invalid_value prompt[0]");
  EXPECT_EQ(OfCompletion(""), "missing_required_parameter prompt");
  EXPECT_EQ(Outcome(ParseChatRequest(R"({"model":"m"})")), "missing_required_parameter messages");
  EXPECT_EQ(Outcome(ParseChatRequest(R"({"model":"m","messages":[]})")), "invalid_value messages");
}

TEST(HostileApiTest, A5RefusesBadNumbers) {
  EXPECT_EQ(OfChat(R"("max_tokens":-1)"), "invalid_value max_tokens");
  EXPECT_EQ(OfChat(R"("max_tokens":0)"), "invalid_value max_tokens");
  EXPECT_EQ(OfChat(R"("max_tokens":9223372036854775808)"), "invalid_value max_tokens");
  EXPECT_EQ(OfChat(R"("seed":18446744073709551615)"), "invalid_value seed");
  EXPECT_EQ(OfChat(R"("seed":18446744073709551616)"), "invalid_type seed");
  EXPECT_EQ(OfChat(R"("temperature":-1)"), "invalid_value temperature");
  EXPECT_EQ(OfChat(R"("temperature":1e308)"), "invalid_value temperature");
  EXPECT_EQ(OfChat(R"("temperature":"hot")"), "invalid_type temperature");
  EXPECT_EQ(OfChat(R"("temperature":NaN)"), "invalid_json ");
  EXPECT_EQ(OfChat(R"("top_p":0)"), "invalid_value top_p");
  EXPECT_EQ(OfChat(R"("max_tokens":2,"min_tokens":3)"), "invalid_value min_tokens");
}

TEST(HostileApiTest, A6RefusesMalformedBodies) {
  for (const char* body :
       {"", "{", "\xEF\xBB\xBF{}", R"({"model":"m","model":"m"})", "{\"model\":\"\xff\"}"}) {
    EXPECT_EQ(Outcome(ParseChatRequest(body)), "invalid_json ") << body;
  }
  for (const char* body : {"null", "[]", "\"x\"", "1"}) {
    EXPECT_EQ(Outcome(ParseChatRequest(body)), "invalid_type ") << body;
  }
  const std::string whole = Chat(R"("temperature":0.5,"stop":["a"],"logit_bias":{"1":2})");
  ASSERT_TRUE(ParseChatRequest(whole).has_value());
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_EQ(Outcome(ParseChatRequest(whole.substr(0, length))), "invalid_json ") << length;
  }
}

TEST(HostileApiTest, A6RefusesWrongTypesInEveryField) {
  for (const char* field :
       {"temperature", "top_p", "n", "max_tokens", "stop", "seed", "stream", "logit_bias", "stop_token_ids",
        "ignore_eos", "user", "metadata", "response_format", "service_tier"}) {
    const std::string wrong = std::string(field) == "stop"   ? "7"
                              : std::string(field) == "user" ? "[]"
                                                             : R"("no")";
    const std::string expected = std::string("invalid_type ") + field;
    if (std::string(field) == "service_tier") {
      EXPECT_EQ(OfChat(R"("service_tier":"gold")"), "invalid_value service_tier");
    } else {
      EXPECT_EQ(OfChat(std::string("\"") + field + "\":" + wrong), expected);
    }
  }
}

TEST(HostileApiTest, A8FetchesNothing) {
  const auto request = ParseChatRequest(
      R"({"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://127.0.0.1:1/"}}]}]})");
  EXPECT_EQ(Outcome(request), "unsupported_content_type messages[0].content[0]");
}

TEST(HostileTemplate, J5RefusesClientTemplates) {
  EXPECT_EQ(OfChat(R"("chat_template":"{{ 'a' * 10 ** 9 }}")"), "template_override_disabled chat_template");
  for (const char* reserved : {"messages", "tools", "bos_token", "raise_exception", "range"}) {
    EXPECT_EQ(OfChat(R"("chat_template_kwargs":{")" + std::string(reserved) + R"(":1})"),
              "template_override_disabled chat_template_kwargs");
  }
}

TEST(HostileApiTest, S1BoundsJsonDepth) {
  // In a field of its own the value begins at depth 2, the body being depth 1.
  const auto nested = [](int depth) {
    return R"("future_field":)" + std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(OfChat(nested(63)), "accepted");
  for (const int depth : {64, 3000, 100000}) {
    EXPECT_EQ(OfChat(nested(depth)).substr(0, 12), "invalid_json") << depth;
    std::string objects;
    for (int i = 0; i < depth; ++i) objects += R"({"a":)";
    EXPECT_EQ(OfChat(R"("tools":)" + objects + "1" + std::string(depth, '}')).substr(0, 12), "invalid_json");
  }
}

TEST(RequestParserTest, RefusesWhatWouldConstrainTheOutput) {
  for (const char* field :
       {"guided_json", "guided_choice", "structured_outputs", "grammar", "json_schema", "functions"}) {
    EXPECT_EQ(OfChat(std::string("\"") + field + "\":[1]"), std::string("unsupported_parameter ") + field);
  }
  EXPECT_EQ(OfChat(R"("response_format":{"type":"regex"})"), "invalid_value response_format.type");
  EXPECT_EQ(OfChat(R"("store":true)"), "unsupported_parameter store");
  EXPECT_EQ(OfChat(R"("store":false)"), "accepted");
}

TEST(RequestParserTest, ReadsResponseFormats) {
  using Kind = OutputConstraint::Kind;
  EXPECT_EQ(ParseChatRequest(Chat(R"("response_format":{"type":"text"})"))->constraint.kind, Kind::kNone);
  EXPECT_EQ(ParseChatRequest(Chat(R"("response_format":{"type":"json_object"})"))->constraint.kind,
            Kind::kAnyObject);
  const auto schema = ParseChatRequest(Chat(
      R"("response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":{"type":"null"}}})"));
  ASSERT_TRUE(schema.has_value());
  EXPECT_EQ(schema->constraint.schema, (Json{{"type", "null"}}));
  const auto of = [](const std::string& inner) {
    return OfChat(R"("response_format":{"type":"json_schema")" + inner + "}");
  };
  EXPECT_EQ(of(""), "missing_required_parameter response_format.json_schema");
  EXPECT_EQ(of(R"(,"json_schema":{"name":"x"})"),
            "missing_required_parameter response_format.json_schema.schema");
  EXPECT_EQ(of(R"(,"json_schema":{"schema":[]})"), "invalid_type response_format.json_schema.schema");
  EXPECT_EQ(of(R"(,"json_schema":{"schema":{"title":")" + std::string(70000, 'x') + "\"}}"),
            "invalid_value response_format.json_schema.schema");
}

constexpr char kTool[] = R"({"type":"function","function":{"name":"f","parameters":{"type":"object"}}})";

TEST(RequestParserTest, ReadsToolsAndTheirChoice) {
  const std::string tools = std::string("\"tools\":[") + kTool + "]";
  const auto request = ParseChatRequest(Chat(tools));
  ASSERT_TRUE(request.has_value()) << request.error().message();
  ASSERT_EQ(request->tools.size(), 1u);
  EXPECT_EQ(request->tools[0].name, "f");
  EXPECT_EQ(request->constraint.kind, OutputConstraint::Kind::kNone);
  const auto required =
      ParseChatRequest(Chat(tools + R"(,"tool_choice":"required","parallel_tool_calls":false)"));
  EXPECT_EQ(required->constraint.kind, OutputConstraint::Kind::kToolCalls);
  EXPECT_EQ(required->constraint.max_calls, 1);
  EXPECT_EQ(ParseChatRequest(Chat(tools + R"(,"tool_choice":"none")"))->tool_choice, ToolChoice::kNone);
  EXPECT_EQ(OfChat(tools + R"(,"tool_choice":{"type":"function","function":{"name":"f"}})"), "accepted");
  EXPECT_EQ(OfChat(tools + R"(,"tool_choice":{"type":"function","function":{"name":"g"}})"),
            "invalid_value tool_choice");
  EXPECT_EQ(OfChat(tools + R"(,"tool_choice":"perhaps")"), "invalid_value tool_choice");
  EXPECT_EQ(OfChat(R"("tool_choice":"required")"), "invalid_value tool_choice");
  EXPECT_EQ(OfChat(R"("tools":[{"type":"function"}])"), "missing_required_parameter tools[0].function");
  EXPECT_EQ(OfChat(R"("tools":[{"type":"function","function":{"name":"a b"}}])"),
            "invalid_value tools[0].function.name");
  EXPECT_EQ(OfChat(R"("tools":{})"), "invalid_type tools");
}

TEST(RequestParserTest, ReadsCallsAndAnswersOfTools) {
  const auto of = [](const std::string& messages) {
    return ParseChatRequest(R"({"model":"m","messages":)" + messages + "}");
  };
  const auto request = of(
      R"([{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},
          {"role":"tool","tool_call_id":"c1","content":"7"}])");
  ASSERT_TRUE(request.has_value()) << request.error().message();
  EXPECT_EQ(request->messages[0].tool_calls[0].name, "f");
  EXPECT_EQ(request->messages[1].tool_call_id, "c1");
  EXPECT_EQ(Outcome(of(R"([{"role":"user","content":"a","tool_calls":[]}])")),
            "invalid_value messages[0].tool_calls");
  EXPECT_EQ(
      Outcome(of(
          R"([{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f"}}]}])")),
      "missing_required_parameter messages[0].tool_calls[0].function.arguments");
}

TEST(RequestParserTest, NamesThePlaceInsideMessages) {
  const auto of = [](const std::string& messages) {
    return Outcome(ParseChatRequest(R"({"model":"m","messages":)" + messages + "}"));
  };
  EXPECT_EQ(of(R"([{"role":"user","content":"a"},{"role":"robot","content":"b"}])"),
            "invalid_value messages[1].role");
  EXPECT_EQ(of(R"([{"role":"user","content":5}])"), "invalid_type messages[0].content");
  EXPECT_EQ(of(R"([{"role":"user"}])"), "missing_required_parameter messages[0].content");
  EXPECT_EQ(of(R"([{"content":"a"}])"), "missing_required_parameter messages[0].role");
  EXPECT_EQ(of(R"(["a"])"), "invalid_type messages[0]");
  EXPECT_EQ(of(R"([{"role":"user","content":[{"type":"text"}]}])"),
            "missing_required_parameter messages[0].content[0].text");
  EXPECT_EQ(of(R"([{"role":"assistant","content":null},{"role":"user","content":"x"}])"), "accepted");
}

TEST(RequestParserTest, AllowsStreamOptionsOnlyWithStream) {
  EXPECT_EQ(OfChat(R"("stream_options":{"include_usage":true})"), "invalid_value stream_options");
  EXPECT_EQ(OfChat(R"("stream":true,"stream_options":{"include_usage":1})"),
            "invalid_type stream_options.include_usage");
  EXPECT_EQ(OfChat(R"("stream":true,"stream_options":{"include_usage":true})"), "accepted");
}

TEST(RequestParserTest, NeedsAModelName) {
  EXPECT_EQ(Outcome(ParseChatRequest(std::string("{") + kMessages + "}")),
            "missing_required_parameter model");
  EXPECT_EQ(Outcome(ParseChatRequest(std::string(R"({"model":"a b",)") + kMessages + "}")),
            "invalid_value model");
  EXPECT_EQ(Outcome(ParseChatRequest(std::string(R"({"model":"",)") + kMessages + "}")),
            "invalid_value model");
}

TEST(RequestParserTest, TokenizeTakesAPromptOrMessages) {
  EXPECT_TRUE(ParseTokenizeRequest(R"({"prompt":"a"})").has_value());
  EXPECT_TRUE(ParseTokenizeRequest(R"({"messages":[{"role":"user","content":"a"}]})").has_value());
  EXPECT_EQ(Outcome(ParseTokenizeRequest(R"({"model":"m"})")), "missing_required_parameter prompt");
  EXPECT_EQ(Outcome(ParseDetokenizeRequest(R"({"tokens":[1,"2"]})")), "invalid_type tokens[1]");
}

}  // namespace
}  // namespace weir
