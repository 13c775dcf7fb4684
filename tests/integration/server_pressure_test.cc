// What the server gives up when memory runs out, and the figures by which an operator sees that it is under pressure.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "tests/integration/api_server.h"

namespace weir {
namespace {

const Json kBody = {{"model", "tiny"}, {"prompt", "hello there"}, {"max_tokens", 2}};

std::string HeaderOf(const ClientResponse& response, const std::string& name) {
  const std::string* value = response.Find(name);
  return value == nullptr ? "" : *value;
}

TEST(ServerPressureTest, RefusesAsLongAsMemoryIsNearlyUsedUp) {
  ApiServer server;
  server.server().ObserveMemory(96, 100);
  const ClientResponse refused = server.Post("/v1/completions", kBody);
  EXPECT_EQ(refused.status, 429);
  EXPECT_NE(refused.body.find("\"memory_pressure\""), std::string::npos) << refused.body;
  EXPECT_EQ(HeaderOf(refused, "Retry-After"), "5");
  EXPECT_EQ(HeaderOf(refused, "retry-after-ms"), "5000");
  EXPECT_NE(server.Get("/metrics").body.find("weir:memory_ladder_step{model_name=\"tiny\",engine=\"0\"} 2"),
            std::string::npos);
  server.server().ObserveMemory(94, 100);
  EXPECT_EQ(server.Post("/v1/completions", kBody).status, 429) << "the step ends at 93 %";
  server.server().ObserveMemory(50, 100);
  EXPECT_EQ(server.Post("/v1/completions", kBody).status, 200);
}

TEST(ServerPressureTest, SparesMemoryBeforeItRefuses) {
  ApiServer server;
  const auto cached = [&](const std::string& prompt) {
    return server
        .Complete({{"prompt", prompt}, {"max_tokens", 1}})["usage"]["prompt_tokens_details"]["cached_tokens"]
        .get<int>();
  };
  const std::string known = "a prompt that was there before the memory became scarce, and is long enough";
  cached(known);
  ASSERT_GT(cached(known), 0);
  server.server().ObserveMemory(93, 100);
  const ClientResponse answer = server.Post("/v1/completions", kBody);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(HeaderOf(answer, "Connection"), "close");
  const std::string late = "another prompt, which came when the memory had become scarce, long enough too";
  cached(late);
  EXPECT_EQ(cached(late), 0) << "the cache has grown";
  EXPECT_GT(cached(known), 0) << "what it holds is still found";
  server.server().ObserveMemory(50, 100);
  EXPECT_NE(HeaderOf(server.Post("/v1/completions", kBody), "Connection"), "close");
  cached(late);
  EXPECT_GT(cached(late), 0);
}

// One sample of each, with the labels it must have.
TEST(ServerPressureTest, ShowsWhatAnOperatorLooksForUnderPressure) {
  ApiServer server;
  server.Complete(Json::object());
  server.Complete(Json::object());
  server.Post("/v1/completions", {{"model", "nobody"}, {"prompt", "a"}});
  const std::string metrics = server.Get("/metrics").body;
  for (const char* wanted :
       {"weir:codel_overloaded{model_name=\"tiny\",engine=\"0\"} 0",
        "weir:oldest_waiter_seconds{model_name=\"tiny\",engine=\"0\"} 0",
        "weir:memory_ladder_step{model_name=\"tiny\",engine=\"0\"} 0",
        "vllm:num_requests_waiting_by_reason{model_name=\"tiny\",engine=\"0\",reason=\"capacity\"} 0",
        "vllm:num_requests_waiting_by_reason{model_name=\"tiny\",engine=\"0\",reason=\"deferred\"} 0",
        "code=\"model_not_found\",class=\"default\""}) {
    EXPECT_NE(metrics.find(wanted), std::string::npos) << wanted;
  }
  const size_t count = metrics.find("weir:step_cost_error_ratio_count");
  ASSERT_NE(count, std::string::npos);
  EXPECT_GT(std::stod(metrics.substr(metrics.find(' ', count))), 0) << "the steps had predictions";
}

double Gauge(const ApiServer& server, const std::string& name) {
  const std::string metrics = server.Get("/metrics").body;
  const size_t at = metrics.find("\n" + name + "{");
  EXPECT_NE(at, std::string::npos) << name;
  return at == std::string::npos ? -1 : std::stod(metrics.substr(metrics.find(' ', at)));
}

// A balancer takes values of more than 200 ms for those of a full server.
TEST(ServerPressureTest, MT3WhatRunsIsInTheMetricsWithinTwoHundredMilliseconds) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kOldest(200);
  ApiServer server;
  // Also of a server that has been idle for a while: nothing is published then.
  for (const int idle_ms : {0, 300}) {
    std::this_thread::sleep_for(std::chrono::milliseconds(idle_ms));
    std::atomic<bool> has_token{false}, has_ended{false};
    HttpClient client(Url{"127.0.0.1", server.port(), "/"});
    HttpClient::Callbacks callbacks;
    callbacks.on_data = [&](std::string_view, TimePoint) { has_token = true; };
    callbacks.on_done = [&](const ClientResponse&) { has_ended = true; };
    ClientRequest request;
    request.path = "/v1/completions";
    request.body =
        R"({"model":"tiny","prompt":"hello there","max_tokens":1900,"ignore_eos":true,"stream":true})";
    request.headers.push_back({"Content-Type", "application/json"});
    client.Start(std::move(request), std::move(callbacks));
    while (!has_token) std::this_thread::yield();
    const double running = Gauge(server, "vllm:num_requests_running");
    const double used = Gauge(server, "vllm:kv_cache_usage_perc");
    EXPECT_TRUE(has_ended || running == 1) << running;
    EXPECT_TRUE(has_ended || used > 0) << used;
    while (!has_ended) std::this_thread::yield();
    const auto ended = Clock::now();
    while (Gauge(server, "vllm:num_requests_running") + Gauge(server, "vllm:kv_cache_usage_perc") > 0 &&
           Clock::now() < ended + std::chrono::seconds(10)) {
    }
    EXPECT_LE(Clock::now() - ended, kOldest);
  }
}

}  // namespace
}  // namespace weir
