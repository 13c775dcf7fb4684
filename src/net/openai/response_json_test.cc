#include "net/openai/response_json.h"

#include <gtest/gtest.h>

#include "net/openai/error_body.h"

namespace weir {
namespace {

Json Parsed(const std::string& text) {
  Result<Json> json = ParseJson(text);
  EXPECT_TRUE(json.has_value()) << text;
  return json.has_value() ? *json : Json();
}

ResponseHead Head(bool is_chat) {
  return {.is_chat = is_chat,
          .id = "x-1",
          .created_s = 7,
          .model = "m",
          .with_logprobs = false,
          .with_token_ids = false};
}

TEST(ResponseJsonTest, FinishReasonIsNullUntilTheLastChunk) {
  const ResponseJson writer(Head(true));
  const Json first = Parsed(writer.Chunk({.index = 0, .text = "a\"\n"}, true));
  EXPECT_EQ(first["object"], "chat.completion.chunk");
  EXPECT_EQ(first["choices"][0]["delta"], Json({{"role", "assistant"}, {"content", "a\"\n"}}));
  EXPECT_TRUE(first["choices"][0].contains("finish_reason"));
  EXPECT_TRUE(first["choices"][0]["finish_reason"].is_null());
  const Json last = Parsed(writer.Chunk({.index = 0, .finish_reason = "stop"}, false));
  EXPECT_EQ(last["choices"][0]["delta"], Json::object());
  EXPECT_EQ(last["choices"][0]["finish_reason"], "stop");
  for (const char* key : {"id", "created", "model"}) EXPECT_EQ(first[key], last[key]);
}

TEST(ResponseJsonTest, UsageChunkHasNoChoices) {
  const Json chunk = Parsed(ResponseJson(Head(true)).UsageChunk({10, 5, 3}, nullptr));
  EXPECT_EQ(chunk["choices"], Json::array());
  EXPECT_EQ(chunk["usage"]["total_tokens"], 15);
  EXPECT_EQ(chunk["usage"]["prompt_tokens_details"]["cached_tokens"], 3);
  EXPECT_FALSE(chunk.contains("weir"));
}

TEST(ResponseJsonTest, CompletionLogprobsHaveEqualLengths) {
  ResponseHead head = Head(false);
  head.with_logprobs = true;
  WireChoice choice{.index = 0, .text = "ab", .finish_reason = "length"};
  choice.logprobs.push_back({.bytes = "a", .has_logprob = false});
  choice.logprobs.push_back(
      {.bytes = "b", .logprob = -0.5, .top = {{"b", -0.5}, {"c", -1}}, .text_offset = 1});
  const Json body = Parsed(ResponseJson(head).Body({choice}, {1, 1, 0}, nullptr, nullptr));
  const Json& logprobs = body["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"], Json({"a", "b"}));
  EXPECT_EQ(logprobs["token_logprobs"], Json({nullptr, -0.5}));
  EXPECT_EQ(logprobs["top_logprobs"], Json({nullptr, {{"b", -0.5}, {"c", -1.0}}}));
  EXPECT_EQ(logprobs["text_offset"], Json({0, 1}));
}

TEST(ResponseJsonTest, ChatLogprobsCarryTheBytesOfHalfACharacter) {
  ResponseHead head = Head(true);
  head.with_logprobs = true;
  WireChoice choice{.index = 0, .text = "x", .finish_reason = "stop"};
  choice.logprobs.push_back({.bytes = "\xf0\x9f", .logprob = -1, .top = {}});
  const Json body = Parsed(ResponseJson(head).Body({choice}, {1, 1, 0}, nullptr, nullptr));
  const Json& token = body["choices"][0]["logprobs"]["content"][0];
  EXPECT_EQ(token["bytes"], Json({0xf0, 0x9f}));
  EXPECT_EQ(token["token"], "\xEF\xBF\xBD");
}

TEST(ErrorBodyTest, KeepsNullsAndEscapes) {
  const Json body = Parsed(ErrorBody({"say \"x\"\n", "server_error", "", "draining"}));
  EXPECT_EQ(body["error"]["message"], "say \"x\"\n");
  EXPECT_TRUE(body["error"]["param"].is_null());
  EXPECT_EQ(body["error"]["code"], "draining");
}

}  // namespace
}  // namespace weir
