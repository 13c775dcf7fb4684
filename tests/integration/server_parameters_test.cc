// Request fields over real sockets with a tiny model: what each does to the answer.

#include <gtest/gtest.h>

#include <string>

#include "tests/integration/api_server.h"

namespace weir {
namespace {

TEST(ServerParametersTest, PromptLogprobsScoreEveryTokenButTheFirst) {
  const ApiServer server;
  const Json body = server.Complete({{"prompt_logprobs", 2}, {"return_token_ids", true}, {"max_tokens", 1}});
  const Json& scores = body["choices"][0]["prompt_logprobs"];
  const Json& ids = body["prompt_token_ids"];
  ASSERT_EQ(scores.size(), ids.size());
  EXPECT_TRUE(scores[0].is_null());
  for (size_t i = 1; i < scores.size(); ++i) {
    const std::string own = std::to_string(ids[i].get<int>());
    ASSERT_TRUE(scores[i].contains(own)) << scores[i].dump();
    EXPECT_LT(scores[i][own]["logprob"].get<double>(), 0);
    EXPECT_GE(scores[i].size(), 2u);
    EXPECT_LE(scores[i].size(), 3u);
  }
  // The same numbers as echo gives.
  const Json echoed = server.Complete({{"echo", true}, {"logprobs", 0}, {"max_tokens", 0}});
  const Json& logprobs = echoed["choices"][0]["logprobs"]["token_logprobs"];
  for (size_t i = 1; i < scores.size(); ++i) {
    EXPECT_NEAR(scores[i][std::to_string(ids[i].get<int>())]["logprob"].get<double>(),
                logprobs[i].get<double>(), 1e-5);
  }
}

TEST(ServerParametersTest, PromptLogprobsOfAChatStandBesideTheChoices) {
  const ApiServer server;
  const Json body = server.Chat({{"prompt_logprobs", 0}, {"max_tokens", 2}});
  EXPECT_EQ(body["prompt_logprobs"].size(), body["usage"]["prompt_tokens"].get<size_t>());
  EXPECT_FALSE(body["choices"][0].contains("prompt_logprobs"));
}

TEST(ServerParametersTest, EchoAndPromptLogprobsKeepTheirOwnNumberOfAlternatives) {
  const ApiServer server;
  const Json body =
      server.Complete({{"prompt_logprobs", 4}, {"echo", true}, {"logprobs", 1}, {"max_tokens", 2}});
  const Json& choice = body["choices"][0];
  for (size_t i = 1; i < choice["logprobs"]["top_logprobs"].size(); ++i)
    EXPECT_LE(choice["logprobs"]["top_logprobs"][i].size(), 2u);
  EXPECT_GE(choice["prompt_logprobs"][1].size(), 4u);
}

TEST(ServerParametersTest, CompletionsListALogprobForTheEndTokenToo) {
  const ApiServer server;
  const Json ends = {{"logit_bias", {{std::to_string(kTinyTurnEnd), 100}}}, {"logprobs", 1}, {"echo", true}};
  const Json body = server.Complete(ends);
  const Json& choice = body["choices"][0];
  const Json& logprobs = choice["logprobs"];
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(body["usage"]["completion_tokens"], 1);
  EXPECT_EQ(choice["text"], "hello there");
  EXPECT_EQ(logprobs["tokens"].size(), body["usage"]["total_tokens"].get<size_t>());
  EXPECT_EQ(logprobs["token_logprobs"].size(), logprobs["tokens"].size());
  EXPECT_EQ(logprobs["tokens"].back(), "") << "it has no text";
  EXPECT_LT(logprobs["token_logprobs"].back().get<double>(), 0);
  size_t num_streamed = 0;
  for (const Json& chunk : server.Stream("/v1/completions", [&] {
         Json asked = {{"model", "tiny"}, {"prompt", "hello there"}, {"max_tokens", 20}, {"temperature", 0}};
         asked.update(ends);
         return asked;
       }()))
    if (chunk["choices"][0]["logprobs"].is_object())
      num_streamed += chunk["choices"][0]["logprobs"]["tokens"].size();
  EXPECT_EQ(num_streamed, logprobs["tokens"].size());
  // The chat API lists the tokens of the text.
  const Json chat = server.Chat({{"logit_bias", {{std::to_string(kTinyTurnEnd), 100}}}, {"logprobs", true}});
  EXPECT_EQ(chat["usage"]["completion_tokens"], 1);
  EXPECT_TRUE(chat["choices"][0]["logprobs"]["content"].empty());
}

TEST(ServerParametersTest, ScoredPromptsAreComputedAlthoughTheyAreInThePrefixCache) {
  const ApiServer server;
  std::string prompt;
  for (int i = 0; i < 12; ++i) prompt += "hello there ";
  const auto num_cached = [](const Json& body) {
    return body["usage"]["prompt_tokens_details"]["cached_tokens"].get<int>();
  };
  const Json uncached = server.Complete({{"prompt", prompt}, {"prompt_logprobs", 0}});
  ASSERT_GT(num_cached(server.Complete({{"prompt", prompt}})), 0);
  const Json scored = server.Complete({{"prompt", prompt}, {"prompt_logprobs", 0}});
  EXPECT_EQ(num_cached(scored), 0);
  const Json& scores = scored["choices"][0]["prompt_logprobs"];
  EXPECT_EQ(scores.size(), scored["usage"]["prompt_tokens"].get<size_t>());
  EXPECT_EQ(scores, uncached["choices"][0]["prompt_logprobs"]);
  const Json echoed = server.Complete({{"prompt", prompt}, {"echo", true}, {"logprobs", 0}});
  EXPECT_EQ(num_cached(echoed), 0);
  EXPECT_GE(echoed["choices"][0]["logprobs"]["token_logprobs"].size(), scores.size());
  EXPECT_GT(num_cached(server.Complete({{"prompt", prompt}, {"echo", true}})), 0) << "not scored";
}

TEST(ServerParametersTest, BadWordsDoNotComeOut) {
  const ApiServer server;
  const std::string plain = server.Complete({{"ignore_eos", true}})["choices"][0]["text"].get<std::string>();
  const Json first = server.Complete({{"ignore_eos", true}, {"return_token_ids", true}});
  const int id = first["choices"][0]["token_ids"][0].get<int>();
  const Json spelled = server.Ask("/detokenize", {{"model", "tiny"}, {"tokens", {id}}});
  const std::string word = spelled["prompt"].get<std::string>();
  ASSERT_FALSE(word.empty());
  const Json without =
      server.Complete({{"ignore_eos", true}, {"bad_words", {word}}, {"return_token_ids", true}});
  for (const Json& token : without["choices"][0]["token_ids"]) EXPECT_NE(token.get<int>(), id);
}

TEST(ServerParametersTest, UnknownFieldsAreIgnoredUnlessTheServerIsStrict) {
  const Json body = {{"model", "tiny"}, {"prompt", "a"}, {"max_tokens", 1}, {"n_discard", -1}};
  EXPECT_EQ(ApiServer().Refusal("/v1/completions", body), "200");
  ServerOptions strict;
  strict.reject_unknown_params = true;
  EXPECT_EQ(ApiServer(strict).Refusal("/v1/completions", body), "400 unknown_parameter n_discard");
}

TEST(ServerParametersTest, OpenApiIsServed) {
  const ClientResponse response = ApiServer().Get("/openapi.json");
  ASSERT_EQ(response.status, 200);
  EXPECT_TRUE(ParseJson(response.body).value()["paths"].contains("/v1/chat/completions"));
}

TEST(ServerParametersTest, TheAnswerSaysWhichTierWasUsed) {
  const ApiServer server;
  EXPECT_EQ(server.Chat(Json::object())["service_tier"], "default");
  EXPECT_EQ(server.Chat({{"service_tier", "flex"}})["service_tier"], "flex");
  EXPECT_EQ(server.Complete({{"service_tier", "priority"}})["service_tier"], "priority");
  for (const Json& chunk :
       server.Stream("/v1/completions",
                     {{"model", "tiny"}, {"prompt", "a"}, {"max_tokens", 3}, {"service_tier", "flex"}})) {
    EXPECT_EQ(chunk["service_tier"], "flex");
  }
}

TEST(ServerParametersTest, OV2ARefusalAtTheDoorDoesNoWorkOnTheBody) {
  const ApiServer server;
  HttpClient client(Url{"127.0.0.1", server.port(), "/"});
  // A deadline of a millisecond for some tens of thousands of tokens, by the body's length.
  ClientRequest request;
  request.path = "/v1/chat/completions";
  request.body =
      R"({"model":"tiny","messages":[{"role":"user","content":")" + std::string(1 << 20, 'a') + "\"}]}";
  request.headers.push_back({"Content-Type", "application/json"});
  request.headers.push_back({"X-Request-Id", "refused"});
  request.headers.push_back({"x-slo-ttft-ms", "1"});
  server.Complete(Json::object());  // until then no rate is known
  const ClientResponse refused = client.Call(std::move(request));
  ASSERT_EQ(refused.status, 429) << refused.body;
  const Json ledger = ParseJson(server.Get("/ledger/refused").body).value();
  EXPECT_EQ(ledger["code"], "deadline_unmeetable");
  EXPECT_EQ(ledger["prompt_tokens"], 0);
  for (const char* stage : {"parse", "template", "tokenize", "prefill"})
    EXPECT_FALSE(ledger["ledger_ms"].contains(stage)) << ledger.dump();
}

}  // namespace
}  // namespace weir
