#include "net/http/server.h"

#include <gmock/gmock.h>

#include "net/http/loopback_fixture.h"

namespace weir {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

class ServerTest : public LoopbackFixture {};

constexpr std::string_view kHello = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kHelloAndClose = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

TEST_F(ServerTest, AnswersWithDateLengthAndBody) {
  Listen();
  const std::string answer = Exchange(kHelloAndClose);
  EXPECT_EQ(StatusOf(answer), 200);
  EXPECT_THAT(answer, HasSubstr("\r\nDate: "));
  EXPECT_THAT(answer, HasSubstr(" GMT\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nContent-Length: 5\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nhello"));
}

TEST_F(ServerTest, KeepsTheConnectionForTheNextRequest) {
  Listen();
  RawSocket socket(server_->port());
  for (int i = 0; i < 3; ++i) {
    socket.Send(kHello);
    EXPECT_EQ(StatusOf(socket.Receive("hello")), 200);
  }
  EXPECT_EQ(server_->num_connections(), 1);
  EXPECT_TRUE(Eventually([&] { return handler_.counts.written == 3; }));
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  Listen();
  const std::string answer = Exchange(
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst"
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsecond\r\n0\r\n\r\n"
      "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(NumResponses(answer.substr(0, 9)), 1);
  EXPECT_LT(answer.find("first"), answer.find("second"));
  EXPECT_LT(answer.find("second"), answer.find("hello"));
}

TEST_F(ServerTest, TakesARequestByteByByte) {
  Listen();
  RawSocket socket(server_->port());
  for (char c :
       std::string("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                   "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n")) {
    socket.Send(std::string_view(&c, 1));
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  EXPECT_THAT(socket.Receive(), HasSubstr("\r\n\r\nabcde"));
}

TEST_F(ServerTest, StreamsInChunks) {
  Listen();
  const std::string answer = Exchange("GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("Content-Length")));
  EXPECT_THAT(answer,
              HasSubstr("5\r\npart0\r\n1\r\n;\r\n5\r\npart1\r\n1\r\n;\r\n5\r\npart2\r\n1\r\n;\r\n0\r\n\r\n"));
}

TEST_F(ServerTest, StreamsToHttp10WithoutChunksAndCloses) {
  Listen();
  const std::string answer = Exchange("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(answer, Not(HasSubstr("Transfer-Encoding")));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\npart0;part1;part2;"));
}

TEST_F(ServerTest, SeesADisconnectWhileItComputes) {
  Listen();
  RawSocket half(server_->port());
  half.Send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(Eventually([&] { return handler_.counts.bodies == 1; }));
  half.HalfClose();
  EXPECT_TRUE(Eventually([&] { return handler_.counts.disconnects == 1; }));
  RawSocket reset(server_->port());
  reset.Send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(Eventually([&] { return handler_.counts.bodies == 2; }));
  reset.Reset();
  EXPECT_TRUE(Eventually([&] { return handler_.counts.disconnects == 2; }));
  EXPECT_TRUE(Eventually([&] { return server_->num_connections() == 0; }));
  EXPECT_EQ(handler_.counts.written, 0);
}

}  // namespace
}  // namespace weir
