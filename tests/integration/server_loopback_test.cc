// The server over real sockets with a tiny model: what clients see, and that nothing stays behind.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "base/log.h"
#include "net/http/client.h"
#include "net/http/sse.h"
#include "server/inference_server.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TimePoint Now() { return MonotonicClock::Get().Now(); }

EngineOptions TinyEngine() {
  static const TinyModel model;
  EngineOptions options;
  options.model_path = model.path();
  options.num_threads = 1;
  options.max_num_seqs = 4;
  options.max_num_batched_tokens = 64;
  options.kv_cache_bytes = 4 << 20;
  return options;
}

class Loopback {
 public:
  explicit Loopback(const EngineOptions& engine_options = TinyEngine()) {
    SetLogLevel(LogLevel::kError);
    Result<std::unique_ptr<Engine>> engine = Engine::Create(engine_options);
    EXPECT_TRUE(engine.has_value()) << (engine.has_value() ? "" : engine.error().message());
    engine_ = std::move(engine).value();
    ServerOptions options;
    options.port = 0;
    options.model_name = "tiny";
    options.bounded_queue = engine_options.bounded_queue;
    options.cancel_on_disconnect = engine_options.cancel_on_disconnect;
    options.sequential = engine_options.policy == SchedulerPolicy::kSequential;
    Result<std::unique_ptr<InferenceServer>> server = InferenceServer::Listen(options);
    EXPECT_TRUE(server.has_value()) << (server.has_value() ? "" : server.error().message());
    server_ = std::move(server).value();
  }
  void Start() {
    server_->Attach(engine_.get());
    engine_->Start();
  }
  ~Loopback() {
    engine_->Stop();
    server_->Stop();
  }

  Engine& engine() { return *engine_; }
  InferenceServer& server() { return *server_; }
  std::unique_ptr<HttpClient> NewClient() const {
    return std::make_unique<HttpClient>(Url{"127.0.0.1", server_->port(), "/"});
  }

  ClientResponse Get(const std::string& path, bool control = false) const {
    HttpClient client(Url{"127.0.0.1", control ? server_->control_port() : server_->port(), "/"});
    ClientRequest request;
    request.method = "GET";
    request.path = path;
    return client.Call(std::move(request));
  }
  ClientResponse Post(const std::string& path, const Json& body, std::vector<HttpHeader> headers = {}) const {
    return NewClient()->Call(Request(path, body, std::move(headers)));
  }
  static ClientRequest Request(const std::string& path, const Json& body,
                               std::vector<HttpHeader> headers = {}) {
    ClientRequest request;
    request.path = path;
    request.body = DumpJson(body);
    request.headers = std::move(headers);
    request.headers.push_back({"Content-Type", "application/json"});
    return request;
  }
  void WaitUntilIdle() {
    const TimePoint end = Now() + seconds(10);
    while ((server_->num_active() > 0 || !engine_->idle()) && Now() < end)
      std::this_thread::sleep_for(milliseconds(2));
    EXPECT_EQ(server_->num_active(), 0);
    EXPECT_TRUE(engine_->idle());
    EXPECT_EQ(engine_->num_free_kv_blocks(), engine_->num_kv_blocks());
  }

 private:
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<InferenceServer> server_;
};

Json Completion(int max_tokens, bool stream = false) {
  return {{"model", "tiny"},  {"prompt", "hello there"}, {"max_tokens", max_tokens},
          {"temperature", 0}, {"ignore_eos", true},      {"stream", stream}};
}

Json Chat(int max_tokens, bool stream = false) {
  return {{"model", "tiny"},          {"messages", {{{"role", "user"}, {"content", "hi"}}}},
          {"max_tokens", max_tokens}, {"temperature", 0},
          {"ignore_eos", true},       {"stream", stream}};
}

Json Parsed(const std::string& text) {
  Result<Json> json = ParseJson(text);
  EXPECT_TRUE(json.has_value()) << text;
  return json.has_value() ? std::move(json).value() : Json();
}

std::vector<std::string> Events(const std::string& body) {
  std::vector<std::string> events;
  SseParser parser;
  EXPECT_TRUE(parser.Feed(body, [&](std::string_view data) { events.emplace_back(data); }).ok());
  EXPECT_TRUE(parser.at_boundary());
  return events;
}

TEST(ServerLoopbackTest, TellsCachedTokensInUsageMetricsAndLedger) {
  Loopback loopback;
  loopback.Start();
  Json body = Completion(3);
  body["prompt"] = "once upon a time there was a prompt that came a second time, and with it its first half";
  const Json first = Parsed(loopback.Post("/v1/completions", body).body);
  const Json second = Parsed(loopback.Post("/v1/completions", body).body);
  const int num_prompt = first["usage"]["prompt_tokens"];
  ASSERT_GT(num_prompt, 16);
  const int num_cached = (num_prompt - 1) / 16 * 16;
  EXPECT_EQ(first["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
  EXPECT_EQ(second["usage"]["prompt_tokens_details"]["cached_tokens"], num_cached);
  EXPECT_EQ(second["usage"]["prompt_tokens"], num_prompt);
  EXPECT_EQ(second["choices"], first["choices"]);

  // Two choices of one prompt are told once.
  body["n"] = 2;
  const Json twice = Parsed(loopback.Post("/v1/completions", body).body);
  EXPECT_EQ(twice["usage"]["prompt_tokens_details"]["cached_tokens"], num_cached);
  EXPECT_EQ(twice["choices"][0]["text"], first["choices"][0]["text"]);
  EXPECT_EQ(twice["choices"][1]["text"], first["choices"][0]["text"]);

  loopback.WaitUntilIdle();
  const std::string metrics = loopback.Get("/metrics").body;
  const auto has = [&](const std::string& name, int value) {
    const std::string line = name + "{model_name=\"tiny\",engine=\"0\"} " + std::to_string(value) + "\n";
    return metrics.find(line) != std::string::npos;
  };
  EXPECT_TRUE(has("vllm:prefix_cache_queries_total", 4 * num_prompt)) << metrics;
  EXPECT_TRUE(has("vllm:prefix_cache_hits_total", 3 * num_cached)) << metrics;
  EXPECT_TRUE(has("vllm:gpu_prefix_cache_hits_total", 3 * num_cached));
  EXPECT_TRUE(has("vllm:prompt_tokens_cached_total", 2 * num_cached));
}

TEST(ServerLoopbackTest, ClassesAreAskedForByHeaderAndTier) {
  Loopback loopback;
  loopback.Start();
  for (const char* name : {"interactive", "default", "batch", "sheddable"})
    EXPECT_EQ(loopback.Post("/v1/completions", Completion(2), {{"X-Weir-Class", name}}).status, 200) << name;
  const ClientResponse unknown = loopback.Post("/v1/completions", Completion(2), {{"X-Weir-Class", "royal"}});
  EXPECT_EQ(unknown.status, 400);
  EXPECT_EQ(Parsed(unknown.body)["error"]["code"], "invalid_header");
  for (const char* tier : {"auto", "default", "priority", "flex"}) {
    Json body = Completion(2);
    body["service_tier"] = tier;
    EXPECT_EQ(loopback.Post("/v1/completions", body).status, 200) << tier;
  }
  loopback.WaitUntilIdle();
}

TEST(ServerLoopbackTest, StreamedTextEqualsTheWholeText) {
  Loopback loopback;
  loopback.Start();
  for (const std::string& path : {std::string("/v1/completions"), std::string("/v1/chat/completions")}) {
    const bool is_chat = path != "/v1/completions";
    const ClientResponse whole = loopback.Post(path, is_chat ? Chat(60) : Completion(60));
    ASSERT_EQ(whole.status, 200) << whole.body;
    const ClientResponse stream = loopback.Post(path, is_chat ? Chat(60, true) : Completion(60, true));
    ASSERT_EQ(stream.status, 200) << stream.body;
    const std::vector<std::string> events = Events(stream.body);
    ASSERT_GT(events.size(), 3u);
    EXPECT_EQ(events.back(), "[DONE]");
    std::string text;
    for (size_t i = 0; i + 1 < events.size(); ++i) {
      const Json chunk = Parsed(events[i]);
      const Json& choice = chunk["choices"][0];
      text += JsonString(is_chat ? FindJson(choice, {"delta", "content"}) : FindJson(choice, {"text"}))
                  .value_or("");
      EXPECT_EQ(choice["finish_reason"].is_null(), i + 2 < events.size());
    }
    const Json body = Parsed(whole.body);
    const Json& choice = body["choices"][0];
    EXPECT_EQ(text, is_chat ? choice["message"]["content"] : choice["text"]);
    EXPECT_FALSE(text.empty());
    EXPECT_EQ(body["usage"]["completion_tokens"], 60);
  }
  loopback.WaitUntilIdle();
}

TEST(ServerLoopbackTest, AnswersAboutItselfWhileTheModelLoads) {
  Loopback loopback;
  EXPECT_EQ(loopback.Get("/health").status, 200);
  EXPECT_EQ(loopback.Get("/ready").status, 503);
  const ClientResponse refused = loopback.Post("/v1/completions", Completion(4));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(Parsed(refused.body)["error"]["code"], "model_loading");
  EXPECT_NE(refused.Find("Retry-After"), nullptr);
  EXPECT_EQ(loopback.Get("/v1/models").status, 503);
  loopback.Start();
  EXPECT_EQ(loopback.Get("/ready").status, 200);
  EXPECT_EQ(loopback.Post("/v1/completions", Completion(4)).status, 200);
}

TEST(ServerLoopbackTest, ADisconnectFreesTheSequence) {
  Loopback loopback;
  loopback.Start();
  std::atomic<bool> has_data{false};
  {
    const std::unique_ptr<HttpClient> client = loopback.NewClient();
    HttpClient::Callbacks callbacks;
    callbacks.on_data = [&](std::string_view, TimePoint) { has_data = true; };
    client->Start(Loopback::Request("/v1/completions", Completion(1900, true), {{"X-Request-Id", "leaver"}}),
                  std::move(callbacks));
    const TimePoint end = Now() + seconds(10);
    while (!has_data && Now() < end) std::this_thread::sleep_for(milliseconds(1));
    ASSERT_TRUE(has_data);
  }
  loopback.WaitUntilIdle();
  const Json ledger = Parsed(loopback.Get("/ledger/leaver").body);
  EXPECT_EQ(ledger["status"], 499);
  EXPECT_EQ(ledger["outcome"], "cancelled");
  EXPECT_LT(ledger["output_tokens"].get<int>(), 1900);
}

TEST(ServerLoopbackTest, WorksOnForDepartedClientsWhenToldToIgnoreThem) {
  EngineOptions options = TinyEngine();
  options.cancel_on_disconnect = false;
  options.bounded_queue = false;
  options.policy = SchedulerPolicy::kSequential;
  Loopback loopback(options);
  loopback.Start();
  std::atomic<bool> has_data{false};
  {
    const std::unique_ptr<HttpClient> client = loopback.NewClient();
    HttpClient::Callbacks callbacks;
    callbacks.on_data = [&](std::string_view, TimePoint) { has_data = true; };
    client->Start(Loopback::Request("/v1/completions", Completion(1900, true), {{"X-Request-Id", "leaver"}}),
                  std::move(callbacks));
    const TimePoint end = Now() + seconds(10);
    while (!has_data && Now() < end) std::this_thread::sleep_for(milliseconds(1));
    ASSERT_TRUE(has_data);
  }
  loopback.WaitUntilIdle();
  const Json ledger = Parsed(loopback.Get("/debug/requests/leaver", true).body);
  EXPECT_EQ(ledger["outcome"], "cancelled");
  EXPECT_EQ(ledger["output_tokens"], 1900);
}

TEST(ServerLoopbackTest, SixtyFourClientsMeetAQueueOfSixteen) {
  EngineOptions options = TinyEngine();
  options.max_num_queued_reqs = 16;
  Loopback loopback(options);
  loopback.Start();
  constexpr int kClients = 64;
  std::vector<std::unique_ptr<HttpClient>> clients;
  std::vector<ClientResponse> responses(kClients);
  std::atomic<int> num_done{0};
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(loopback.NewClient());
    HttpClient::Callbacks callbacks;
    callbacks.on_done = [&, i](ClientResponse response) {
      responses[i] = std::move(response);
      num_done.fetch_add(1);
    };
    clients.back()->Start(Loopback::Request("/v1/chat/completions", Chat(200, i % 2 == 0)),
                          std::move(callbacks));
  }
  const TimePoint end = Now() + seconds(60);
  while (num_done.load() < kClients && Now() < end) std::this_thread::sleep_for(milliseconds(2));
  ASSERT_EQ(num_done.load(), kClients);
  std::map<int, int> count;
  for (const ClientResponse& response : responses) {
    EXPECT_EQ(response.failure, ClientFailure::kNone) << response.message;
    ++count[response.status];
    if (response.status == 429) {
      ASSERT_NE(response.Find("Retry-After"), nullptr);
      EXPECT_GE(std::stoi(*response.Find("Retry-After")), 1);
      ASSERT_NE(response.Find("retry-after-ms"), nullptr);
      EXPECT_GE(std::stoi(*response.Find("retry-after-ms")), 100);
      EXPECT_EQ(Parsed(response.body)["error"]["type"], "rate_limit_error");
    }
  }
  EXPECT_EQ(count[200] + count[429], kClients);
  // Sixteen wait at the least; how many of four already ran when the last one came is a matter of steps and cores.
  EXPECT_GE(count[200], 16);
  EXPECT_GT(count[429], 0);
  loopback.WaitUntilIdle();
}

TEST(ServerLoopbackTest, AnUnboundedQueueRefusesNobody) {
  EngineOptions options = TinyEngine();
  options.bounded_queue = false;
  options.policy = SchedulerPolicy::kSequential;
  options.max_num_queued_reqs = 1;
  Loopback loopback(options);
  loopback.Start();
  std::vector<std::thread> threads;
  std::atomic<int> num_ok{0};
  for (int i = 0; i < 24; ++i) {
    threads.emplace_back([&] {
      // The deadline is not kept either.
      if (loopback.Post("/v1/completions", Completion(20), {{"x-request-timeout-ms", "1"}}).status == 200)
        ++num_ok;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_ok.load(), 24);
  const Json version = Parsed(loopback.Get("/version").body);
  EXPECT_EQ(version["modes"]["scheduler"], "sequential");
  EXPECT_EQ(version["modes"]["queue"], "unbounded");
  loopback.WaitUntilIdle();
}

TEST(ServerLoopbackTest, ADrainFinishesWhatRunsAndTakesNothingNew) {
  Loopback loopback;
  loopback.Start();
  std::atomic<bool> has_data{false}, is_done{false};
  ClientResponse streamed;
  std::string body;
  const std::unique_ptr<HttpClient> client = loopback.NewClient();
  HttpClient::Callbacks callbacks;
  callbacks.on_data = [&](std::string_view bytes, TimePoint) {
    body += bytes;
    has_data = true;
  };
  callbacks.on_done = [&](ClientResponse response) {
    streamed = std::move(response);
    is_done = true;
  };
  client->Start(Loopback::Request("/v1/completions", Completion(400, true)), std::move(callbacks));
  const TimePoint end = Now() + seconds(20);
  while (!has_data && Now() < end) std::this_thread::sleep_for(milliseconds(1));
  loopback.server().BeginDrain();
  loopback.engine().BeginDrain();
  EXPECT_EQ(loopback.Get("/ready", true).status, 503);
  EXPECT_NE(loopback.Post("/v1/completions", Completion(4)).status, 200);
  while (!is_done && Now() < end) std::this_thread::sleep_for(milliseconds(1));
  ASSERT_TRUE(is_done);
  EXPECT_TRUE(body.ends_with("data: [DONE]\n\n"));
  loopback.WaitUntilIdle();
}

TEST(ServerLoopbackTest, AStopInMidStreamSendsAnErrorEvent) {
  Loopback loopback;
  loopback.Start();
  std::atomic<bool> has_data{false}, is_done{false};
  std::string body;
  const std::unique_ptr<HttpClient> client = loopback.NewClient();
  HttpClient::Callbacks callbacks;
  callbacks.on_data = [&](std::string_view bytes, TimePoint) {
    body += bytes;
    has_data = true;
  };
  callbacks.on_done = [&](ClientResponse) { is_done = true; };
  client->Start(Loopback::Request("/v1/completions", Completion(1900, true)), std::move(callbacks));
  const TimePoint end = Now() + seconds(20);
  while (!has_data && Now() < end) std::this_thread::sleep_for(milliseconds(1));
  loopback.engine().Stop();
  while (!is_done && Now() < end) std::this_thread::sleep_for(milliseconds(1));
  ASSERT_TRUE(is_done);
  const std::vector<std::string> events = Events(body);
  ASSERT_GE(events.size(), 2u);
  EXPECT_EQ(events.back(), "[DONE]");
  EXPECT_EQ(Parsed(events[events.size() - 2])["error"]["code"], "draining");
  loopback.WaitUntilIdle();
}

TEST(ServerLoopbackTest, StagesOfEveryLedgerSumToItsWallTime) {
  Loopback loopback;
  loopback.Start();
  for (int i = 0; i < 20; ++i) {
    Json body = Completion(5 + i, i % 2 == 0);
    if (i % 5 == 4) body["temperature"] = 9;  // refused
    loopback.Post("/v1/completions", body, {{"X-Request-Id", fmt::format("r{}", i)}, {"X-Weir-Ledger", "1"}});
  }
  loopback.WaitUntilIdle();
  const ClientResponse dump = loopback.Get("/debug/requests?since=0&limit=100", true);
  ASSERT_EQ(dump.status, 200);
  int num_lines = 0;
  std::string_view rest = dump.body;
  while (!rest.empty()) {
    const Json line = Parsed(std::string(rest.substr(0, rest.find('\n'))));
    rest.remove_prefix(rest.find('\n') + 1);
    ++num_lines;
    double sum = 0;
    for (const auto& [name, ms] : line["ledger_ms"].items()) {
      EXPECT_GE(ms.get<double>(), 0) << name;
      sum += ms.get<double>();
    }
    EXPECT_NEAR(sum, line["wall_ms"].get<double>(), 1e-6);
    EXPECT_EQ(line["ledger_ms"].value("other", 0.0), 0.0);
    EXPECT_EQ(line["number"], num_lines);
    EXPECT_EQ(line["status"], num_lines % 5 == 0 ? 400 : 200);
  }
  EXPECT_EQ(num_lines, 20);
}

TEST(ServerLoopbackTest, LG2TheLedgerUpToTheFirstTokenSumsToTheTimeToIt) {
  Loopback loopback;
  loopback.Start();
  loopback.Post("/v1/completions", Completion(12), {{"X-Request-Id", "answered"}});
  loopback.Post("/v1/completions", Completion(12, true), {{"X-Request-Id", "streamed"}});
  Json several = Completion(5);
  several["n"] = 3;
  loopback.Post("/v1/completions", several, {{"X-Request-Id", "several"}});
  loopback.WaitUntilIdle();
  for (const char* id : {"answered", "streamed", "several"}) {
    const Json ledger = Parsed(loopback.Get(fmt::format("/ledger/{}", id)).body);
    double sum = 0;
    for (const auto& [name, ms] : ledger["to_first_ms"].items()) {
      EXPECT_LE(ms.get<double>(), ledger["ledger_ms"].value(name, 0.0)) << name;
      sum += ms.get<double>();
    }
    EXPECT_GT(sum, 0) << id;
    // The time itself is rounded to a microsecond.
    EXPECT_NEAR(sum, ledger["ttft_ms"].get<double>(), 0.001) << id;
    EXPECT_GT(ledger["engine_share_ns"].get<int64_t>(), 0) << id;
  }
}

// Answered, wrong, refused, left and failed: all have an account, and it is complete.
TEST(ServerLoopbackTest, LG6EveryOutcomeHasALedger) {
  EngineOptions options = TinyEngine();
  options.max_num_seqs = 1;
  options.max_num_queued_reqs = 0;
  Loopback loopback(options);
  loopback.server().Attach(&loopback.engine());
  loopback.engine().set_step_observer(
      [](const StepRecord&) { std::this_thread::sleep_for(milliseconds(10)); });
  loopback.engine().Start();
  loopback.Post("/v1/completions", Completion(2), {{"X-Request-Id", "ok"}});
  Json wrong = Completion(2);
  wrong["temperature"] = 9;
  loopback.Post("/v1/completions", wrong, {{"X-Request-Id", "bad_request"}});
  {
    const std::unique_ptr<HttpClient> client = loopback.NewClient();
    std::atomic<bool> has_data{false};
    HttpClient::Callbacks callbacks;
    callbacks.on_data = [&](std::string_view, TimePoint) { has_data = true; };
    client->Start(
        Loopback::Request("/v1/completions", Completion(1900, true), {{"X-Request-Id", "cancelled"}}),
        std::move(callbacks));
    const TimePoint end = Now() + seconds(10);
    while (!has_data && Now() < end) std::this_thread::sleep_for(milliseconds(1));
    ASSERT_TRUE(has_data);
    EXPECT_EQ(loopback.Post("/v1/completions", Completion(2), {{"X-Request-Id", "refused"}}).status, 429);
  }
  loopback.WaitUntilIdle();
  // Slower than anybody could predict: admitted, begun, and then too late.
  EXPECT_EQ(loopback
                .Post("/v1/completions", Completion(300),
                      {{"X-Request-Id", "failed"}, {"x-request-timeout-ms", "1500"}})
                .status,
            504);
  loopback.WaitUntilIdle();
  for (const char* outcome : {"ok", "bad_request", "cancelled", "refused", "failed"}) {
    const Json ledger = Parsed(loopback.Get(fmt::format("/ledger/{}", outcome)).body);
    EXPECT_EQ(ledger["outcome"], outcome);
    double sum = 0;
    for (const auto& [name, ms] : ledger["ledger_ms"].items()) sum += ms.get<double>();
    EXPECT_GT(sum, 0) << outcome;
    EXPECT_NEAR(sum, ledger["wall_ms"].get<double>(), 1e-6) << outcome;
  }
}

TEST(ServerLoopbackTest, EveryAnswerHasARequestIdAndErrorsHaveTheApisForm) {
  Loopback loopback;
  loopback.Start();
  const ClientResponse kept = loopback.Post("/v1/completions", Completion(2), {{"X-Request-Id", "abc-1"}});
  ASSERT_NE(kept.Find("X-Request-Id"), nullptr);
  EXPECT_EQ(*kept.Find("X-Request-Id"), "abc-1");
  EXPECT_NE(kept.Find("Server-Timing"), nullptr);
  const ClientResponse replaced = loopback.Post("/v1/completions", Completion(2), {{"X-Request-Id", "a b"}});
  ASSERT_NE(replaced.Find("X-Request-Id"), nullptr);
  EXPECT_NE(*replaced.Find("X-Request-Id"), "a b");
  for (const auto& [path, code, status] : std::vector<std::tuple<std::string, std::string, int>>{
           {"/v1/embeddings", "unknown_url", 404},
           {"/v1/chat/completions", "method_not_allowed", 405},
           {"/debug/requests", "unknown_url", 404}}) {
    const ClientResponse response = loopback.Get(path);
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(Parsed(response.body)["error"]["code"], code);
    EXPECT_NE(response.Find("X-Request-Id"), nullptr);
  }
}

}  // namespace
}  // namespace weir
