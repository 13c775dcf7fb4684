#include "net/http/message_writer.h"

#include <gmock/gmock.h>

namespace weir {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string Response(HttpResponse response, ResponseFraming framing) {
  std::string out = "before|";
  AppendResponse(std::move(response), framing, "today", out);
  return out;
}

TEST(MessageWriterTest, WritesHeadAndBodyAfterWhatIsThere) {
  EXPECT_EQ(
      Response({.status = 429, .headers = {{"A", "1"}, {"A", "2"}}, .body = "text"},
               {.content_length = 4, .close = true}),
      "before|HTTP/1.1 429 Too Many Requests\r\nDate: today\r\nServer: weir\r\n"
      "Content-Type: application/json\r\nA: 1\r\nA: 2\r\nContent-Length: 4\r\nConnection: close\r\n\r\ntext");
  EXPECT_EQ(Response({.content_type = "", .body = "text"},
                     {.content_length = 4, .say_keep_alive = true, .with_body = false}),
            "before|HTTP/1.1 200 OK\r\nDate: today\r\nServer: weir\r\nContent-Length: 4\r\n"
            "Connection: keep-alive\r\n\r\n");
  EXPECT_EQ(Response({.content_type = "t"}, {.chunked = true, .with_body = false}),
            "before|HTTP/1.1 200 OK\r\nDate: today\r\nServer: weir\r\nContent-Type: t\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
  for (int status : {204, 304}) {
    const std::string out = Response({.status = status, .body = "text"}, {.content_length = 4});
    EXPECT_THAT(out, Not(HasSubstr("Content-")));
    EXPECT_TRUE(out.ends_with("\r\n\r\n"));
  }
}

TEST(MessageWriterTest, LeavesOutWhatWouldBreakTheFraming) {
  const std::string out = Response({.headers = {{"B", "1\r\nEvil: 1"},
                                                {"Evil\r", "1"},
                                                {"", "Evil"},
                                                {"Evil", std::string(70000, 'x')},
                                                {"Good", std::string(30000, 'y')}}},
                                   {.content_length = 0});
  EXPECT_THAT(out, Not(HasSubstr("Evil")));
  EXPECT_THAT(out, HasSubstr("\r\nGood: yyy"));
}

TEST(MessageWriterTest, WritesChunks) {
  std::string out;
  AppendChunk("hello", out);
  AppendChunk(std::string(0x1a2, 'x'), out);
  AppendLastChunk(out);
  EXPECT_EQ(out, "5\r\nhello\r\n1a2\r\n" + std::string(0x1a2, 'x') + "\r\n0\r\n\r\n");
}

TEST(MessageWriterTest, WritesRequests) {
  EXPECT_EQ(RequestBytes({.method = "GET"}, "", "h:1"),
            "GET / HTTP/1.1\r\nHost: h:1\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(
      RequestBytes({.path = "/p", .headers = {{"A", "b"}}}, "body", "h:1"),
      "POST /p HTTP/1.1\r\nHost: h:1\r\nA: b\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nbody");
  EXPECT_THAT(RequestBytes({}, "", "h:1"), HasSubstr("\r\nContent-Length: 0\r\n"));
}

}  // namespace
}  // namespace weir
