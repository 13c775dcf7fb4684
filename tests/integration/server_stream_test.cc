// Streams as bytes: what a client that reads no more than the words of the specification sees.

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/integration/api_server.h"
#include "tests/support/loopback_fixture.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

std::string Raw(const std::string& body, const std::string& version = "1.1") {
  return "POST /v1/completions HTTP/" + version +
         "\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

const char kStream[] =
    R"({"model":"tiny","prompt":"hello there","max_tokens":6,"temperature":0,"ignore_eos":true,"stream":true})";

std::string Ask(const ApiServer& server, const std::string& request) {
  RawSocket socket(server.port());
  EXPECT_TRUE(socket.Send(request));
  return socket.Receive();
}

TEST(ServerStreamTest, SE1TheHeadSaysThatItIsAStream) {
  const ApiServer server;
  const std::string answer = Ask(server, Raw(kStream));
  const std::string head = answer.substr(0, answer.find("\r\n\r\n"));
  for (const char* line :
       {"HTTP/1.1 200", "Content-Type: text/event-stream; charset=utf-8", "Cache-Control: no-cache",
        "X-Accel-Buffering: no", "Transfer-Encoding: chunked"}) {
    EXPECT_NE(head.find(line), std::string::npos) << line << "\n" << head;
  }
  EXPECT_TRUE(answer.ends_with("\r\n0\r\n\r\n"));
  const std::string old = Ask(server, Raw(kStream, "1.0"));
  EXPECT_EQ(old.find("Transfer-Encoding"), std::string::npos);
  EXPECT_TRUE(old.ends_with("data: [DONE]\n\n")) << old;
}

TEST(ServerStreamTest, SE2EventsAreOneLineOfDataEachAndChoicesShareOneEnd) {
  const ApiServer server;
  std::string body = kStream;
  body.insert(body.size() - 1, R"(,"n":2)");
  const std::string answer = Ask(server, Raw(body, "1.0"));
  std::string rest = answer.substr(answer.find("\r\n\r\n") + 4);
  int num_done = 0;
  while (!rest.empty()) {
    const size_t end = rest.find("\n\n");
    ASSERT_NE(end, std::string::npos) << rest;
    const std::string event = rest.substr(0, end);
    rest.erase(0, end + 2);
    EXPECT_TRUE(event.starts_with("data: ")) << event;
    EXPECT_EQ(event.find('\n'), std::string::npos) << event;
    num_done += event == "data: [DONE]" ? 1 : 0;
    if (num_done > 0) {
      EXPECT_TRUE(rest.empty()) << "something follows the end";
    }
  }
  EXPECT_EQ(num_done, 1);
}

// The engine does not run, so nothing comes.
TEST(ServerStreamTest, SE3TheHeadIsHeldBackAndASilentStreamIsKeptAlive) {
  SetLogLevel(LogLevel::kError);
  const TinyModel model;
  EngineOptions options;
  options.model_path = model.path();
  options.num_threads = 1;
  options.kv_cache_bytes = 4 << 20;
  const auto engine = Engine::Create(options).value();
  const auto server =
      InferenceServer::Listen({.port = 0, .model_name = "tiny", .sse_keep_alive = milliseconds(300)}).value();
  server->Attach(engine.get());
  RawSocket socket(server->port());
  ASSERT_TRUE(socket.Send(Raw(kStream)));
  EXPECT_EQ(socket.Receive({}, milliseconds(100)), "") << "a refusal could still have come";
  const std::string silent = socket.Receive(": keep-alive\n\n");
  EXPECT_TRUE(silent.starts_with("HTTP/1.1 200")) << silent;
  EXPECT_EQ(silent.find("data:"), std::string::npos);
  engine->Stop();  // what comes now travels as an event, because the head is out
  const std::string last = socket.Receive();
  EXPECT_NE(last.find("data: {\"error\":{"), std::string::npos) << last;
  EXPECT_NE(last.find("data: [DONE]\n\n"), std::string::npos) << last;
  server->Stop();
}

TEST(ServerStreamTest, SE4TokensCanShareAnEvent) {
  ServerOptions options;
  options.stream_interval = 4;
  const Json body = {{"model", "tiny"},
                     {"prompt", "hello there"},
                     {"max_tokens", 14},
                     {"temperature", 0},
                     {"ignore_eos", true}};
  const auto text_of = [](const std::vector<Json>& chunks) {
    std::string text;
    for (const Json& chunk : chunks) text += chunk["choices"][0]["text"].get<std::string>();
    return text;
  };
  const std::vector<Json> single = ApiServer().Stream("/v1/completions", body);
  const std::vector<Json> grouped = ApiServer(options).Stream("/v1/completions", body);
  EXPECT_EQ(text_of(grouped), text_of(single));
  EXPECT_GE(single.size(), 10u);  // a token that is half a character makes no event of its own
  EXPECT_LE(grouped.size(), 6u);  // the first token at once, then 4, 4, 4, 1 and the end
}

TEST(ServerStreamTest, OA6FinishReasonIsPresentAndNullUntilTheLastChunk) {
  const ApiServer server;
  for (const char* path : {"/v1/completions", "/v1/chat/completions"}) {
    Json body = {{"model", "tiny"}, {"max_tokens", 5}, {"ignore_eos", true}};
    const bool is_chat = std::string(path).find("chat") != std::string::npos;
    if (is_chat) {
      body["messages"] = {{{"role", "user"}, {"content", "hi"}}};
    } else {
      body["prompt"] = "hi";
    }
    const std::vector<Json> chunks = server.Stream(path, body);
    ASSERT_GT(chunks.size(), 2u);
    for (size_t i = 0; i < chunks.size(); ++i) {
      const Json& choice = chunks[i]["choices"][0];
      ASSERT_TRUE(choice.contains("finish_reason")) << chunks[i].dump();
      EXPECT_EQ(choice["finish_reason"], i + 1 == chunks.size() ? Json("length") : Json(nullptr));
      EXPECT_EQ(chunks[i]["id"], chunks[0]["id"]);
      EXPECT_EQ(chunks[i]["created"], chunks[0]["created"]);
    }
    if (is_chat) {
      EXPECT_EQ(chunks[0]["choices"][0]["delta"]["role"], "assistant");
      EXPECT_EQ(chunks.back()["choices"][0]["delta"], Json::object());
    }
  }
}

TEST(ServerStreamTest, ServerTimingCanBeLeftOut) {
  ServerOptions options;
  options.server_timing = false;
  const Json body = {{"model", "tiny"}, {"prompt", "a"}, {"max_tokens", 1}};
  EXPECT_EQ(ApiServer(options).Post("/v1/completions", body).Find("Server-Timing"), nullptr);
  EXPECT_NE(ApiServer().Post("/v1/completions", body).Find("Server-Timing"), nullptr);
}

}  // namespace
}  // namespace weir
