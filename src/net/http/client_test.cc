#include "net/http/client.h"

#include <gmock/gmock.h>

#include "tests/support/loopback_fixture.h"

namespace weir {
namespace {

class ClientTest : public LoopbackFixture {
 protected:
  Url ServerUrl() const { return {"127.0.0.1", server_->port(), "/"}; }
};

TEST_F(ClientTest, GetsAnAnswerAndReusesTheConnection) {
  Listen();
  HttpClient client(ServerUrl());
  for (int i = 0; i < 5; ++i) {
    const ClientResponse response = client.Call({.method = "POST", .path = "/echo", .body = "text"});
    ASSERT_EQ(response.failure, ClientFailure::kNone) << response.message;
    EXPECT_EQ(response.phase, ClientPhase::kDone);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "text");
    EXPECT_LE(response.sent, response.connected);
    EXPECT_LE(response.connected, response.first_byte);
    EXPECT_LE(response.first_byte, response.done);
    EXPECT_EQ(response.sent == response.connected, i > 0);
    ASSERT_NE(response.Find("CONTENT-LENGTH"), nullptr);
  }
  EXPECT_EQ(server_->num_connections(), 1);
}

TEST_F(ClientTest, PassesStreamedBytesWithTheirTimes) {
  Listen();
  HttpClient client(ServerUrl());
  std::mutex mutex;
  std::string joined;
  std::vector<TimePoint> times;
  std::atomic<bool> done{false};
  HttpClient::Callbacks callbacks;
  callbacks.on_data = [&](std::string_view bytes, TimePoint at) {
    const std::lock_guard<std::mutex> lock(mutex);
    joined += bytes;
    times.push_back(at);
  };
  callbacks.on_done = [&](ClientResponse response) {
    EXPECT_EQ(response.failure, ClientFailure::kNone) << response.message;
    EXPECT_TRUE(response.body.empty());
    done = true;
  };
  client.Start({.method = "GET", .path = "/stream"}, callbacks);
  ASSERT_TRUE(Eventually([&] { return done.load(); }));
  EXPECT_EQ(joined, "part0;part1;part2;");
  EXPECT_GE(times.back() - times.front(), std::chrono::milliseconds(8));
}

// Accepts one connection after the other and answers each with fixed bytes, however wrong.
class CannedServer {
 public:
  struct Answer {
    std::string bytes;
    bool wait_for_request = true;
    bool keep_open = false;
    bool reset = false;
  };

  explicit CannedServer(std::vector<Answer> answers) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(fd_, reinterpret_cast<sockaddr*>(&address), size);
    listen(fd_, 8);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, answers = std::move(answers)] { Serve(answers); });
  }
  ~CannedServer() {
    thread_.join();
    for (int fd : open_) close(fd);
    close(fd_);
  }
  Url url() const { return {"127.0.0.1", port_, "/"}; }

 private:
  void Serve(const std::vector<Answer>& answers) {
    for (const Answer& answer : answers) {
      const int fd = accept(fd_, nullptr, nullptr);
      char buffer[4096];
      if (answer.wait_for_request && recv(fd, buffer, sizeof buffer, 0) <= 0) {
        close(fd);
        continue;
      }
      send(fd, answer.bytes.data(), answer.bytes.size(), MSG_NOSIGNAL);
      if (answer.keep_open) {
        open_.push_back(fd);
        continue;
      }
      if (answer.reset) {
        const linger now{1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
      }
      close(fd);
    }
  }

  int fd_;
  int port_ = 0;
  std::thread thread_;
  std::vector<int> open_;
};

ClientResponse CallOnce(std::vector<CannedServer::Answer> answers,
                        Duration timeout = std::chrono::seconds(5)) {
  CannedServer server(std::move(answers));
  HttpClient client(server.url());
  return client.Call({.method = "GET", .path = "/", .timeout = timeout});
}

TEST(HttpClientTest, ReadsEveryFraming) {
  for (const char* bytes :
       {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nb\r\n3\r\nody\r\n0\r\nT: 1\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nbody",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"}) {
    const ClientResponse response = CallOnce({{bytes}});
    EXPECT_EQ(response.failure, ClientFailure::kNone) << bytes << ": " << response.message;
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "body");
  }
  EXPECT_EQ(CallOnce({{"HTTP/1.1 204 No Content\r\n\r\n", true, true}}).status, 204);
}

TEST(HttpClientTest, RefusesMalformedResponses) {
  for (const char* bytes :
       {"SSH-2.0-x\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 101 x\r\n\r\n"}) {
    const ClientResponse response = CallOnce({{bytes, true, true}});
    EXPECT_EQ(response.failure, ClientFailure::kMalformed) << bytes;
    EXPECT_FALSE(response.message.empty());
  }
  EXPECT_EQ(CallOnce({{"HTTP/1.1 200 OK\r\nX: " + std::string(70000, 'x'), true, true}}).failure,
            ClientFailure::kMalformed);
}

TEST(HttpClientTest, StopsCollectingAnEndlessBody) {
  const ClientResponse response =
      CallOnce({{"HTTP/1.1 200 OK\r\n\r\n" + std::string((64 << 20) + 1, 'x')}}, std::chrono::seconds(30));
  EXPECT_EQ(response.failure, ClientFailure::kMalformed);
  EXPECT_EQ(response.phase, ClientPhase::kBody);
  EXPECT_LE(response.body.size(), size_t{64} << 20);
}

TEST(HttpClientTest, TellsTheFailuresApartWithTheirPhase) {
  HttpClient nobody({"127.0.0.1", 1, "/"});
  const ClientResponse refused = nobody.Call({.method = "GET", .path = "/"});
  EXPECT_EQ(refused.failure, ClientFailure::kConnectRefused);
  EXPECT_EQ(refused.phase, ClientPhase::kConnect);
  EXPECT_GE(refused.done, refused.sent);

  const ClientResponse empty = CallOnce({{""}});
  EXPECT_EQ(empty.failure, ClientFailure::kConnectReset);
  EXPECT_EQ(empty.phase, ClientPhase::kFirstByte);
  EXPECT_EQ(empty.first_byte, TimePoint{});
  const ClientResponse reset = CallOnce({{"", true, false, true}});
  EXPECT_EQ(reset.failure, ClientFailure::kConnectReset);
  const ClientResponse in_head = CallOnce({{"HTTP/1.1 200 OK\r\nX"}});
  EXPECT_EQ(in_head.failure, ClientFailure::kConnectReset);
  EXPECT_EQ(in_head.phase, ClientPhase::kHeaders);
  const ClientResponse in_body = CallOnce({{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo"}});
  EXPECT_EQ(in_body.failure, ClientFailure::kConnectReset);
  EXPECT_EQ(in_body.phase, ClientPhase::kBody);
  EXPECT_EQ(in_body.status, 200);
  const ClientResponse broken =
      CallOnce({{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n"}});
  EXPECT_EQ(broken.failure, ClientFailure::kConnectReset);
  EXPECT_EQ(broken.phase, ClientPhase::kBody);

  const Duration limit = std::chrono::milliseconds(60);
  const ClientResponse silent = CallOnce({{"", true, true}}, limit);
  EXPECT_EQ(silent.failure, ClientFailure::kTimeout);
  EXPECT_EQ(silent.phase, ClientPhase::kFirstByte);
  EXPECT_GE(silent.done - silent.sent, limit);
  const ClientResponse stuck =
      CallOnce({{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo", true, true}}, limit);
  EXPECT_EQ(stuck.failure, ClientFailure::kTimeout);
  EXPECT_EQ(stuck.phase, ClientPhase::kBody);
  EXPECT_EQ(stuck.body, "bo");
}

// The first connection promises to stay and closes; the second call may find it dead, and must not fail.
TEST(HttpClientTest, RetriesAStaleConnectionOnce) {
  const std::string good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
  CannedServer server({{good + "11"}, {good + "22"}});
  HttpClient client(server.url());
  EXPECT_EQ(client.Call({.method = "GET", .path = "/"}).body, "11");
  const ClientResponse second = client.Call({.method = "GET", .path = "/"});
  EXPECT_EQ(second.failure, ClientFailure::kNone) << second.message;
  EXPECT_EQ(second.body, "22");
}

TEST(HttpClientTest, DoesNotReuseAConnectionWithSurplusBytes) {
  const std::string good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
  CannedServer server({{good + "11" + good + "xx", true, true}, {good + "22", true, true}});
  HttpClient client(server.url());
  EXPECT_EQ(client.Call({.method = "GET", .path = "/"}).body, "11");
  EXPECT_EQ(client.Call({.method = "GET", .path = "/"}).body, "22");
}

TEST_F(ClientTest, CarriesManyRequestsAtOnce) {
  Listen();
  HttpClient client(ServerUrl());
  std::atomic<int> good{0};
  std::atomic<int> done{0};
  for (int i = 0; i < 200; ++i) {
    HttpClient::Callbacks callbacks;
    const std::string body(static_cast<size_t>(i) * 100, 'b');
    callbacks.on_done = [&, body](const ClientResponse& response) {
      if (response.failure == ClientFailure::kNone && response.body == body) ++good;
      ++done;
    };
    client.Start({.method = "POST", .path = "/echo", .body = body}, callbacks);
  }
  EXPECT_TRUE(Eventually([&] { return done == 200; }));
  EXPECT_EQ(good, 200);
  EXPECT_GT(client.thread_cpu_time(), Duration(0));
}

TEST_F(ClientTest, RunsFunctionsAtTheirTime) {
  Listen();
  HttpClient client(ServerUrl());
  std::mutex mutex;
  std::vector<int> order;
  std::atomic<int> ran{0};
  const TimePoint begin = MonotonicClock::Get().Now();
  std::atomic<bool> too_early{false};
  for (int delay : {30, 10, 20, -5}) {
    client.PostAt(begin + std::chrono::milliseconds(delay), [&, delay] {
      if (MonotonicClock::Get().Now() < begin + std::chrono::milliseconds(delay)) too_early = true;
      const std::lock_guard<std::mutex> lock(mutex);
      order.push_back(delay);
      ++ran;
    });
  }
  EXPECT_TRUE(Eventually([&] { return ran == 4; }));
  EXPECT_FALSE(too_early);
  EXPECT_THAT(order, testing::ElementsAre(-5, 10, 20, 30));
}

TEST_F(ClientTest, EndsRunningRequestsWithoutACallbackWhenDestroyed) {
  Listen();
  std::atomic<int> done{0};
  {
    HttpClient client(ServerUrl());
    HttpClient::Callbacks callbacks;
    callbacks.on_done = [&](const ClientResponse&) { ++done; };
    client.Start({.method = "GET", .path = "/hang"}, callbacks);
    ASSERT_TRUE(Eventually([&] { return handler_.counts.bodies == 1; }));
  }
  EXPECT_EQ(done, 0);
  EXPECT_TRUE(Eventually([&] { return handler_.counts.disconnects == 1; }));
}

TEST(UrlTest, ReadsHostPortAndPath) {
  const auto url = Url::Parse("http://[::1]:8000/v1/");
  ASSERT_TRUE(url.has_value());
  EXPECT_EQ(url.value().host, "::1");
  EXPECT_EQ(url.value().port, 8000);
  EXPECT_EQ(url.value().path, "/v1");
  EXPECT_EQ(Url::Parse("http://a")->port, 80);
  EXPECT_EQ(Url::Parse("http://a")->path, "/");
  EXPECT_EQ(Url::Parse("HTTP://a/b/c")->path, "/b/c");
}

TEST(UrlTest, RefusesWhatItCannotCall) {
  for (const char* text : {"", "a:80", "https://a", "http://", "http://a:0", "http://a:99999", "http://u@a",
                           "http://a/b c", "http://a/?q", "http://a b", "ftp://a"}) {
    const auto url = Url::Parse(text);
    ASSERT_FALSE(url.has_value()) << text;
    EXPECT_EQ(url.error().code(), StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace weir
