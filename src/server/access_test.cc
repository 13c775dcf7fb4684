// Who gets an answer: every route without, with wrong and with right keys, over real sockets and without a model.
#include "server/access.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/inference_server.h"
#include "server/read_only_routes.h"
#include "tests/support/loopback_fixture.h"

namespace weir {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kSecret[] = "correct-horse-battery";

std::shared_ptr<const KeyRing> Keys(KeyLimits limits = {}) {
  ApiKey key, old;
  key.owner.name = "team-a";
  key.digest = Sha256Bytes(kSecret);
  key.limits = limits;
  old.owner.name = "old";
  old.digest = Sha256Bytes("expired-horse-battery");
  old.expires = std::chrono::system_clock::now() - std::chrono::hours(1);
  return std::make_shared<KeyRing>(std::vector<ApiKey>{old, key});
}

// A server whose model never comes, which is all that these questions need.
class AccessTest : public testing::Test {
 protected:
  void Listen(ServerOptions options = {}) {
    options.port = 0;
    options.model_name = "tiny";
    Result<std::unique_ptr<InferenceServer>> server = InferenceServer::Listen(std::move(options));
    ASSERT_TRUE(server.has_value()) << server.error().message();
    server_ = std::move(server).value();
  }
  std::string Send(const std::string& method, const std::string& target, const std::string& fields = "",
                   bool control = false) {
    RawSocket socket(control ? server_->control_port() : server_->port());
    socket.Send(
        fmt::format("{} {} HTTP/1.1\r\n{}{}{}Connection: close\r\n\r\n", method, target,
                    fields.find("Host:") == std::string::npos ? "Host: localhost\r\n" : "", fields,
                    method == "POST" ? "Content-Type: application/json\r\nContent-Length: 2\r\n" : "") +
        (method == "POST" ? "{}" : ""));
    return socket.Receive();
  }
  static std::string BodyOf(const std::string& answer) {
    const size_t end = answer.find("\r\n\r\n");
    return end == std::string::npos ? "" : answer.substr(end + 4);
  }

  std::unique_ptr<InferenceServer> server_;
};

std::string Authorization(const std::string& value) { return "Authorization: " + value + "\r\n"; }

using HostileApi = AccessTest;

TEST_F(HostileApi, A7DeniesByDefault) {
  Listen({.keys = Keys()});
  std::vector<std::pair<std::string, std::string>> questions;
  for (const Route& route : Routes()) {
    const std::string path = std::string(route.path) + (route.path.ends_with('/') ? "x" : "");
    questions.emplace_back(route.method, path);
    questions.emplace_back("PUT", path);
  }
  for (const char* odd : {"//v1/models", "/v1//models", "/v1/models/", "/v1/../health", "/health/", "/HEALTH",
                          "/Health", "/health/..", "/%68ealth", "/health%2f", "/health;x", "/health?x=1",
                          "/./health", "/nowhere", "/", "/debug", "/admin"})
    questions.emplace_back("GET", odd);
  const std::string near_first = "x" + std::string(kSecret).substr(1);
  const std::string near_last = std::string(kSecret).substr(0, sizeof kSecret - 2) + "x";
  const std::vector<std::string> credentials = {
      "",
      Authorization(""),
      Authorization("Bearer"),
      Authorization("Bearer wrong"),
      Authorization("Bearer expired-horse-battery"),
      Authorization("Bearer " + near_first),
      Authorization("Bearer " + near_last),
      Authorization(fmt::format("Bearer {}x", kSecret)),
      Authorization(kSecret),
      Authorization(fmt::format("Basic {}", kSecret)),
      Authorization(fmt::format("Bearer {}", kSecret)) + Authorization("Bearer wrong"),
      "X-Api-Key: " + std::string(kSecret) + "\r\n",
  };
  std::string first_body;
  for (const auto& [method, path] : questions) {
    for (const std::string& credential : credentials) {
      SCOPED_TRACE(method + " " + path + " " + credential);
      const std::string answer = Send(method, path, credential);
      ASSERT_EQ(StatusOf(answer), 401) << answer;
      if (first_body.empty()) first_body = BodyOf(answer);
      ASSERT_EQ(BodyOf(answer), first_body);
      ASSERT_THAT(answer, HasSubstr("WWW-Authenticate: Bearer"));
    }
  }
  EXPECT_THAT(first_body, HasSubstr("\"invalid_api_key\""));
  const std::string right = Authorization(fmt::format("bearer {}", kSecret));
  EXPECT_EQ(StatusOf(Send("GET", "/health", right)), 200);
  EXPECT_EQ(StatusOf(Send("GET", "/nowhere", right)), 404);
  EXPECT_EQ(StatusOf(Send("PUT", "/health", right)), 405);
}

TEST_F(AccessTest, OneRouteCanBePublicWhileTheOthersAreNot) {
  Listen({.keys = Keys(), .public_routes = {"/health", "/v1/models"}});
  EXPECT_EQ(StatusOf(Send("GET", "/health")), 200);
  EXPECT_EQ(StatusOf(Send("HEAD", "/health")), 200);
  EXPECT_EQ(StatusOf(Send("GET", "/v1/models")), 503) << "still loading, but not refused";
  for (const char* path : {"/ready", "/metrics", "/v1/models/tiny", "/health/", "//health", "/ledger/x"})
    EXPECT_EQ(StatusOf(Send("GET", path)), 401) << path;
  EXPECT_EQ(StatusOf(Send("POST", "/health")), 401) << "the method is not the route's";
}

TEST_F(AccessTest, WhatServesClientsCannotBePublic) {
  for (const Route& route : Routes()) {
    if (route.method == "POST" || route.path == "/ledger/" || route.path.starts_with("/debug")) {
      EXPECT_FALSE(route.may_be_public) << route.path;
    }
  }
  for (const char* path :
       {"/v1/completions", "/ledger/", "/debug/requests", "/nowhere", "", "/health/", "health"}) {
    ServerOptions options{.keys = Keys(), .public_routes = {path}};
    const Status status = CheckAccessOptions(options);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << path;
    EXPECT_EQ(status.param(), "--public-routes");
  }
}

TEST_F(AccessTest, OtherMachinesNeedKeysOrTheOperatorsWord) {
  for (const char* host : {"0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.evil.org"}) {
    EXPECT_EQ(CheckAccessOptions({.host = host}).param(), "--host") << host;
    EXPECT_EQ(CheckAccessOptions({.control_host = host}).param(), "--control-host") << host;
    EXPECT_TRUE(CheckAccessOptions({.control_host = host, .has_control = false}).ok()) << host;
    EXPECT_TRUE(CheckAccessOptions({.host = host, .keys = Keys()}).ok()) << host;
    EXPECT_TRUE(CheckAccessOptions({.host = host, .insecure_no_auth = true}).ok()) << host;
  }
  for (const char* host : {"127.0.0.1", "127.1.2.3", "localhost", "::1"})
    EXPECT_TRUE(CheckAccessOptions({.host = host, .control_host = host}).ok()) << host;
}

TEST_F(AccessTest, TheControlListenerAsksForAKeyOnlyWhenOthersCanReachIt) {
  Listen({.keys = Keys()});
  EXPECT_EQ(StatusOf(Send("GET", "/debug/requests", "", true)), 200);
  EXPECT_EQ(StatusOf(Send("GET", "/health", "Host: evil.example\r\n", true)), 403) << "a rebound name";
  server_->Stop();
  Listen({.control_host = "0.0.0.0", .keys = Keys(), .public_routes = {"/health"}});
  EXPECT_EQ(StatusOf(Send("GET", "/debug/requests", "", true)), 401);
  EXPECT_EQ(StatusOf(Send("GET", "/health", "", true)), 200);
  EXPECT_EQ(StatusOf(Send("GET", "/debug/requests", Authorization(fmt::format("Bearer {}", kSecret)), true)),
            200);
}

TEST_F(AccessTest, OperatorsQuestionsAreAnsweredOnTheControlListener) {
  Listen();
  for (const char* path : {"/health", "/metrics", "/version", "/openapi.json", "/is_sleeping", "/debug/state",
                           "/debug/requests?since=0&limit=5"})
    EXPECT_EQ(StatusOf(Send("GET", path, "", true)), 200) << path;
  EXPECT_EQ(StatusOf(Send("GET", "/ready", "", true)), 503) << "still loading";
  EXPECT_EQ(StatusOf(Send("GET", "/v1/models", "", true)), 404);
  EXPECT_EQ(StatusOf(Send("POST", "/v1/completions", "", true)), 404);
  EXPECT_EQ(StatusOf(Send("GET", "/debug/state")), 404) << "not for clients";
}

TEST_F(AccessTest, WithoutKeysOnlyThisMachinesNamesAreAnswered) {
  Listen({.allowed_hosts = {"weir.internal"}});
  for (const char* host :
       {"localhost", "localhost:8000", "127.0.0.1", "127.0.0.1:9", "[::1]:8000", "weir.internal"})
    EXPECT_EQ(StatusOf(Send("GET", "/health", fmt::format("Host: {}\r\n", host))), 200) << host;
  for (const char* host :
       {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]"})
    EXPECT_EQ(StatusOf(Send("GET", "/health", fmt::format("Host: {}\r\n", host))), 403) << host;
}

TEST_F(AccessTest, PagesOfOtherSitesAreRefused) {
  Listen();
  for (const char* origin : {"https://evil.example", "null", "http://localhost:3000", ""})
    EXPECT_EQ(StatusOf(Send("GET", "/health", fmt::format("Origin: {}\r\n", origin))), 403) << origin;
  const std::string preflight =
      Send("OPTIONS", "/v1/completions",
           "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n");
  EXPECT_EQ(StatusOf(preflight), 403);
  EXPECT_THAT(preflight, Not(HasSubstr("Access-Control-Allow")));
}

TEST_F(AccessTest, PagesOfAnAllowedSiteAreAnsweredAndOnlyThose) {
  Listen({.keys = Keys(), .cors_origins = {"https://chat.example"}});
  const std::string origin = "Origin: https://chat.example\r\n";
  const std::string preflight =
      Send("OPTIONS", "/v1/chat/completions", origin + "Access-Control-Request-Method: POST\r\n");
  EXPECT_EQ(StatusOf(preflight), 204) << preflight;
  EXPECT_THAT(preflight, HasSubstr("Access-Control-Allow-Origin: https://chat.example\r\n"));
  EXPECT_THAT(preflight, HasSubstr("Authorization"));
  EXPECT_THAT(preflight, Not(HasSubstr("Access-Control-Allow-Credentials")));
  const std::string refused = Send("GET", "/health", origin);
  EXPECT_EQ(StatusOf(refused), 401) << "the page still needs a key";
  EXPECT_THAT(refused, HasSubstr("Access-Control-Allow-Origin: https://chat.example\r\n"))
      << "or the page could not read why";
  const std::string right = Authorization(fmt::format("Bearer {}", kSecret));
  EXPECT_EQ(StatusOf(Send("GET", "/health", origin + right)), 200);
  for (const char* other : {"https://chat.example.evil", "http://chat.example", "https://chat.example:444"})
    EXPECT_EQ(StatusOf(Send("GET", "/health", fmt::format("Origin: {}\r\n", other) + right)), 403) << other;
  EXPECT_EQ(StatusOf(Send("GET", "/health", origin, true)), 403) << "not on the control listener";
  for (const char* wrong : {"*", "chat.example", "https://chat.example/", "https://", "https://a https://b"})
    EXPECT_EQ(CheckAccessOptions({.cors_origins = {wrong}}).param(), "--cors-origin") << wrong;
}

TEST_F(AccessTest, AskingForTheServersOptionsNeedsNoKey) {
  Listen({.keys = Keys()});
  const std::string answer = Send("OPTIONS", "*");
  EXPECT_EQ(StatusOf(answer), 200);
  EXPECT_THAT(answer, HasSubstr("Allow: GET, HEAD, POST, OPTIONS"));
}

TEST_F(AccessTest, AKeyAtItsLimitIsToldWhenToComeBack) {
  Listen({.keys = Keys({.requests_per_minute = 2})});
  const std::string right = Authorization(fmt::format("Bearer {}", kSecret));
  for (int left : {1, 0}) {
    const std::string answer = Send("POST", "/v1/completions", right);
    EXPECT_EQ(StatusOf(answer), 503) << "loading";
    EXPECT_THAT(answer, HasSubstr("x-ratelimit-limit-requests: 2\r\n"));
    EXPECT_THAT(answer, HasSubstr(fmt::format("x-ratelimit-remaining-requests: {}\r\n", left)));
  }
  const std::string answer = Send("POST", "/v1/completions", right);
  EXPECT_EQ(StatusOf(answer), 429) << answer;
  EXPECT_THAT(answer, HasSubstr("\"key_limit\""));
  EXPECT_THAT(answer, HasSubstr("Retry-After: "));
  EXPECT_THAT(answer, HasSubstr("x-ratelimit-remaining-requests: 0\r\n"));
  EXPECT_EQ(StatusOf(Send("GET", "/health", right)), 200) << "what costs nothing is not counted";
}

TEST_F(AccessTest, NewKeysWorkAtOnceAndOldOnesNoLonger) {
  Listen({.keys = Keys()});
  ApiKey key;
  key.owner.name = "next";
  key.digest = Sha256Bytes("the-next-secret-key");
  server_->SetKeys(std::make_shared<KeyRing>(std::vector<ApiKey>{key}));
  EXPECT_EQ(StatusOf(Send("GET", "/health", Authorization(fmt::format("Bearer {}", kSecret)))), 401);
  EXPECT_EQ(StatusOf(Send("GET", "/health", Authorization("Bearer the-next-secret-key"))), 200);
}

TEST_F(AccessTest, TheControlPortIsToldToThoseWhoCanReachIt) {
  Listen();
  EXPECT_THAT(Send("GET", "/version"),
              HasSubstr(fmt::format("\"control_port\":{}", server_->control_port())));
  const RouteMatch version = FindRoute("GET", "/version", kDataListener);
  ServerContext on_loopback({.host = "0.0.0.0", .insecure_no_auth = true});
  EXPECT_THAT(AnswerReadOnly(*version.route, "", "", Caller{}, &on_loopback).body,
              HasSubstr("\"control_port\":null"));
  EXPECT_THAT(AnswerReadOnly(*version.route, "", "", Caller{.is_local = true}, &on_loopback).body,
              Not(HasSubstr("\"control_port\":null")));
}

}  // namespace
}  // namespace weir
