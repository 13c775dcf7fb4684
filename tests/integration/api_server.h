// A server with a tiny model for tests of the API's parameters: requests in, JSON out.
//
// Owns      engine and server, stopped at the end
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/log.h"
#include "net/http/client.h"
#include "net/http/sse.h"
#include "server/inference_server.h"
#include "tests/support/tiny_model.h"

namespace weir {

class ApiServer {
 public:
  explicit ApiServer(ServerOptions options = {}, const std::vector<AdapterSpec>& adapters = {}) {
    SetLogLevel(LogLevel::kError);
    static const TinyModel model;
    EngineOptions engine_options;
    engine_options.model_path = model.path();
    engine_options.num_threads = 1;
    engine_options.max_num_seqs = 8;
    engine_options.max_num_batched_tokens = 64;
    engine_options.kv_cache_bytes = 4 << 20;
    engine_options.adapters = adapters;
    for (const AdapterSpec& adapter : adapters) options.adapter_names.push_back(adapter.name);
    options.port = 0;
    options.model_name = "tiny";
    engine_ = Engine::Create(engine_options).value();
    server_ = InferenceServer::Listen(std::move(options)).value();
    server_->Attach(engine_.get());
    engine_->Start();
  }
  ~ApiServer() {
    engine_->Stop();
    server_->Stop();
  }

  Engine& engine() { return *engine_; }
  InferenceServer& server() { return *server_; }
  int port() const { return server_->port(); }
  ClientResponse Get(const std::string& path) const {
    HttpClient client(Url{"127.0.0.1", server_->port(), "/"});
    ClientRequest request;
    request.method = "GET";
    request.path = path;
    return client.Call(std::move(request));
  }
  ClientResponse Post(const std::string& path, const Json& body) const {
    HttpClient client(Url{"127.0.0.1", server_->port(), "/"});
    ClientRequest request;
    request.path = path;
    request.body = DumpJson(body);
    request.headers.push_back({"Content-Type", "application/json"});
    return client.Call(std::move(request));
  }
  // The answer's body; the test fails unless it is 200.
  Json Ask(const std::string& path, const Json& body) const {
    const ClientResponse response = Post(path, body);
    EXPECT_EQ(response.status, 200) << response.body;
    Result<Json> json = ParseJson(response.body);
    EXPECT_TRUE(json.has_value()) << response.body;
    return json.has_value() ? *json : Json();
  }
  Json Chat(Json more) const {
    Json body = {
        {"model", "tiny"}, {"messages", {{{"role", "user"}, {"content", "hi"}}}}, {"max_tokens", 20}};
    body.update(more);
    return Ask("/v1/chat/completions", body);
  }
  Json Complete(Json more) const {
    Json body = {{"model", "tiny"}, {"prompt", "hello there"}, {"max_tokens", 20}, {"temperature", 0}};
    body.update(more);
    return Ask("/v1/completions", body);
  }
  // "status code param" of a refusal.
  std::string Refusal(const std::string& path, const Json& body) const {
    const ClientResponse response = Post(path, body);
    const Result<Json> json = ParseJson(response.body);
    if (!json.has_value() || !json->contains("error")) return std::to_string(response.status);
    const Json& error = (*json)["error"];
    const auto text = [&](const char* key) {
      return error[key].is_string() ? error[key].get<std::string>() : "null";
    };
    return std::to_string(response.status) + " " + text("code") + " " + text("param");
  }
  std::vector<Json> Stream(const std::string& path, Json body) const {
    body["stream"] = true;
    const ClientResponse response = Post(path, body);
    EXPECT_EQ(response.status, 200) << response.body;
    std::vector<Json> chunks;
    bool done = false;
    SseParser parser;
    EXPECT_TRUE(parser
                    .Feed(response.body,
                          [&](std::string_view data) {
                            done = data == "[DONE]";
                            if (!done) chunks.push_back(ParseJson(data).value());
                          })
                    .ok());
    EXPECT_TRUE(done);
    return chunks;
  }

 private:
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<InferenceServer> server_;
};

}  // namespace weir
