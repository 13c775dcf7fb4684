#include "net/http/client.h"

#include <gmock/gmock.h>

#include "net/http/loopback_fixture.h"

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

}  // namespace
}  // namespace weir
