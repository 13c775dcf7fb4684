// Requests that try to be read in two ways. The bytes "GET /smuggled" follow each of them and must never become a request.
#include <gmock/gmock.h>

#include "tests/support/loopback_fixture.h"

namespace weir {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr std::string_view kSmuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

struct Case {
  const char* id;
  int status;
  std::string bytes;
};

class HostileHttp : public LoopbackFixture {
 protected:
  void ExpectRefused(const Case& test) {
    SCOPED_TRACE(test.id);
    const int heads_before = handler_.counts.heads;
    RawSocket socket(server_->port());
    socket.Send(test.bytes + std::string(kSmuggled));
    const std::string answer = socket.Receive();
    EXPECT_EQ(StatusOf(answer), test.status) << answer;
    EXPECT_TRUE(socket.SeesEnd());
    EXPECT_EQ(NumResponses(answer), 1) << answer;
    EXPECT_THAT(answer, HasSubstr("\r\nConnection: close\r\n"));
    EXPECT_THAT(answer, HasSubstr("\r\nDate: "));
    EXPECT_EQ(handler_.counts.heads, heads_before);
  }
};

std::string Post(std::string_view fields, std::string_view body = "hello") {
  std::string bytes = "POST /echo HTTP/1.1\r\nHost: a\r\n";
  bytes += fields;
  bytes += "\r\n";
  bytes += body;
  return bytes;
}

std::string Get(std::string_view target, std::string_view fields = "Host: a\r\n") {
  std::string bytes = "GET ";
  bytes += target;
  bytes += " HTTP/1.1\r\n";
  bytes += fields;
  bytes += "\r\n";
  return bytes;
}

std::string WithNul(std::string text) {
  std::replace(text.begin(), text.end(), '@', '\0');
  return text;
}

TEST_F(HostileHttp, H1RefusesAmbiguousFraming) {
  Listen();
  const std::string chunks = "5\r\nhello\r\n0\r\n\r\n";
  const std::vector<Case> cases = {
      // GT-1: folded lines
      {"GT-1 folded field", 400, Get("/", "Host: a\r\nX: 1\r\n 2\r\n")},
      {"GT-1 folded coding", 400, Post("Transfer-Encoding:\r\n chunked\r\n", chunks)},
      {"GT-1 folded with tab", 400, Get("/", "Host: a\r\nX: 1\r\n\t2\r\n")},
      {"GT-1 first field folded", 400, Get("/", " Host: a\r\nHost: a\r\n")},
      // GT-2 to GT-5: transfer codings
      {"GT-2 xchunked", 501, Post("Transfer-Encoding: xchunked\r\n", chunks)},
      {"GT-2 identity", 501, Post("Transfer-Encoding: identity\r\n")},
      {"GT-2 empty", 400, Post("Transfer-Encoding:\r\n", chunks)},
      {"GT-2 not final", 400, Post("Transfer-Encoding: chunked, identity\r\n", chunks)},
      {"GT-2 twice in one field", 400, Post("Transfer-Encoding: chunked, chunked\r\n", chunks)},
      {"GT-2 twice", 400, Post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunks)},
      {"GT-2 split", 400, Post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", chunks)},
      {"GT-3 xchunked and length", 400, Post("Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n")},
      {"GT-3 identity and length", 400, Post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n")},
      {"GT-3 empty and length", 400, Post("Transfer-Encoding:\r\nContent-Length: 5\r\n")},
      {"coding and length", 400, Post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunks)},
      {"length and coding", 400, Post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunks)},
      {"GT-4 gzip first", 501, Post("Transfer-Encoding: gzip, chunked\r\n", chunks)},
      {"GT-4 parameter", 400, Post("Transfer-Encoding: chunked;q=1\r\n", chunks)},
      {"GT-4 leading comma", 400, Post("Transfer-Encoding: , chunked\r\n", chunks)},
      {"GT-4 trailing comma", 400, Post("Transfer-Encoding: chunked,\r\n", chunks)},
      {"GT-4 quoted", 400, Post("Transfer-Encoding: \"chunked\"\r\n", chunks)},
      {"GT-4 vertical tab", 400,
       Post("Transfer-Encoding: \x0b"
            "chunked\r\n",
            chunks)},
      {"GT-5 on 1.0", 400, "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks},
      // GT-6: Host
      {"GT-6 none", 400, Get("/", "X: 1\r\n")},
      {"GT-6 two", 400, Get("/", "Host: a\r\nHost: b\r\n")},
      {"GT-6 two equal", 400, Get("/", "Host: a\r\nHost: a\r\n")},
      {"GT-6 two on 1.0", 400, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"},
      {"GT-6 empty", 400, Get("/", "Host:\r\n")},
      {"GT-6 path", 400, Get("/", "Host: x/y\r\n")},
      {"GT-6 user", 400, Get("/", "Host: u@x\r\n")},
      {"GT-6 list", 400, Get("/", "Host: a, b\r\n")},
      {"GT-6 port letters", 400, Get("/", "Host: a:b\r\n")},
      {"GT-6 port too large", 400, Get("/", "Host: a:65536\r\n")},
      {"GT-6 space inside", 400, Get("/", "Host: a b\r\n")},
      // GT-7: Content-Length
      {"GT-7 list", 400, Post("Content-Length: 5, 5\r\n")},
      {"GT-7 twice the same", 400, Post("Content-Length: 5\r\nContent-Length: 5\r\n")},
      {"GT-7 twice", 400, Post("Content-Length: 5\r\nContent-Length: 6\r\n")},
      {"GT-7 leading zero", 400, Post("Content-Length: 05\r\n")},
      {"GT-7 plus", 400, Post("Content-Length: +5\r\n")},
      {"GT-7 minus", 400, Post("Content-Length: -5\r\n")},
      {"GT-7 hex", 400, Post("Content-Length: 0x5\r\n")},
      {"GT-7 point", 400, Post("Content-Length: 5.0\r\n")},
      {"GT-7 inner space", 400, Post("Content-Length: 5 5\r\n")},
      {"GT-7 letters", 400, Post("Content-Length: five\r\n")},
      {"GT-7 empty", 400, Post("Content-Length:\r\n")},
      {"GT-7 2^64 + 5", 400, Post("Content-Length: 18446744073709551621\r\n")},
      {"GT-7 underscore digits", 400, Post("Content-Length: 1_0\r\n")},
      // GT-8: targets
      {"GT-8 no slash", 400, Get("abc")},
      {"GT-8 star", 400, Get("*")},
      {"GT-8 fragment", 400, Get("/a#b")},
      {"GT-8 backslash", 400, Get("/a\\b")},
      {"GT-8 raw UTF-8", 400, Get("/\xc3\xa4")},
      {"GT-8 percent 00", 400, Get("/%00")},
      {"GT-8 percent 0d", 400, Get("/a%0dX:1")},
      {"GT-8 percent 0A", 400, Get("/a%0A")},
      {"GT-8 percent cut", 400, Get("/a%4")},
      {"GT-8 percent no hex", 400, Get("/a%zz")},
      {"GT-8 other authority", 400, Get("http://b/hello")},
      {"GT-8 user in authority", 400, Get("http://u@a/hello")},
      {"GT-8 other scheme", 400, Get("ftp://a/hello")},
      {"GT-8 authority form", 400, Get("a:80")},
      // GT-9: methods
      {"GT-9 lower case", 501, "get / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GT-9 9000 letters", 501, std::string(9000, 'A') + " / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GT-9 unknown", 501, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GT-9 CONNECT", 405, "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"GT-9 TRACE", 405, "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"},
      // GT-10, GT-11
      {"GT-10 other expectation", 417, Post("Content-Length: 5\r\nExpect: 200-ok\r\n")},
      {"GT-10 two expectations", 417, Post("Content-Length: 5\r\nExpect: 100-continue\r\nExpect: x\r\n")},
      {"GT-11 length on GET", 400, Get("/", "Host: a\r\nContent-Length: 5\r\n") + "hello"},
      {"GT-11 chunked on GET", 400, Get("/", "Host: a\r\nTransfer-Encoding: chunked\r\n") + chunks},
      {"GT-11 length on OPTIONS", 400, "OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"},
      {"GT-11 length on HEAD", 400, "HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"},
      // GT-15: names that a proxy may rewrite
      {"GT-15 Content_Length", 400, Post("Content_Length: 5\r\nContent-Length: 5\r\n")},
      {"GT-15 Transfer_Encoding", 400, Post("transfer_encoding: chunked\r\nContent-Length: 5\r\n")},
      // GT-17 allows one empty line, not two
      {"GT-17 two empty lines", 400, "\r\n\r\n" + Get("/")},
      // line ends
      {"bare LF ends the request line", 400, "GET / HTTP/1.1\nHost: a\r\n\r\n"},
      {"bare LF ends a field", 400, Get("/", "Host: a\nX: 1\r\n")},
      {"bare LF before the request", 400, "\n" + Get("/")},
      {"bare CR in a value", 400, Get("/", "Host: a\r\nX: 1\rY: 2\r\n")},
      {"bare CR in the request line", 400, "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"CR CR LF", 400, Get("/", "Host: a\r\r\n")},
      {"bare LF ends the head", 400, "GET / HTTP/1.1\r\nHost: a\r\n\n"},
      // bytes and field syntax
      {"NUL in a value", 400, WithNul(Get("/", "Host: a\r\nX: 1@2\r\n"))},
      {"NUL in a name", 400, WithNul(Get("/", "Host: a\r\nX@: 1\r\n"))},
      {"NUL in the target", 400, WithNul(Get("/@"))},
      {"control byte in a value", 400, Get("/", "Host: a\r\nX: \x01\r\n")},
      {"escape in a value", 400, Get("/", "Host: a\r\nX: \x1b[0m\r\n")},
      {"delete in a value", 400, Get("/", "Host: a\r\nX: \x7f\r\n")},
      {"space before the colon", 400, Post("Content-Length : 5\r\n")},
      {"tab before the colon", 400, Post("Content-Length\t: 5\r\n")},
      {"no colon", 400, Get("/", "Host: a\r\nX\r\n")},
      {"empty name", 400, Get("/", "Host: a\r\n: 1\r\n")},
      {"space in a name", 400, Get("/", "Host: a\r\nX Y: 1\r\n")},
      {"non-ASCII name", 400, Get("/", "Host: a\r\nX\xc3\xa4: 1\r\n")},
      {"bracket in a name", 400, Get("/", "Host: a\r\nX[]: 1\r\n")},
      // request line
      {"no version", 400, "GET /\r\nHost: a\r\n\r\n"},
      {"no target", 400, "GET HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"empty target", 400, "GET  HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"two spaces", 400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"two spaces before the version", 400, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"tab for a space", 400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"space in the target", 400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"space at the end", 400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
      {"space at the start", 400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"version in lower case", 400, "GET / http/1.1\r\nHost: a\r\n\r\n"},
      {"version without a point", 400, "GET / HTTP/11\r\nHost: a\r\n\r\n"},
      {"version with two digits", 400, "GET / HTTP/1.10\r\nHost: a\r\n\r\n"},
      {"version with a sign", 400, "GET / HTTP/+1.1\r\nHost: a\r\n\r\n"},
      {"version 2", 505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"},
      {"version 0.9", 505, "GET / HTTP/0.9\r\nHost: a\r\n\r\n"},
      {"preface of HTTP/2", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {"TLS hello", 400, std::string("\x16\x03\x01\x02\x00\x01\x00", 7)},
      {"quote in the method", 400, "G\"T / HTTP/1.1\r\nHost: a\r\n\r\n"},
  };
  for (const Case& test : cases) ExpectRefused(test);
  ExpectServes();
}

TEST_F(HostileHttp, H1AnswersABareLineFeedAtOnce) {
  Listen();
  for (const char* begin : {"GET / HTTP/1.1\nH", "GET / HTTP/1.1\r\nHost: a\rX", "\x01"}) {
    RawSocket socket(server_->port());
    socket.Send(begin);  // and no more: nothing waits for the end of the head
    EXPECT_EQ(StatusOf(socket.Receive({}, milliseconds(3000))), 400) << begin;
  }
}

TEST_F(HostileHttp, H1AcceptsWhatOnlyLooksOdd) {
  Listen();
  const std::string close = "Host: a\r\nConnection: close\r\n";
  const std::vector<Case> cases = {
      {"GT-17 one empty line", 200, "\r\n" + Get("/hello", close)},
      {"chunked in capitals", 200,
       "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: ChUnKeD\r\n\r\n0\r\n\r\n"},
      {"length zero on GET", 200, Get("/hello", close + "Content-Length: 0\r\n")},
      {"no host on 1.0", 200, "GET /hello HTTP/1.0\r\n\r\n"},
      {"absolute form", 200, Get("http://A/hello", close)},
      {"host with port", 200, Get("/hello", "Host: a:80\r\nConnection: close\r\n")},
      {"IPv6 host", 200, Get("/hello", "Host: [::1]:80\r\nConnection: close\r\n")},
      {"minor version above 1", 200, "GET /hello HTTP/1.2\r\n" + close + "\r\n"},
      {"no blank after the colon", 200, Get("/hello", "Host:a\r\nConnection:close\r\n")},
      {"blanks around a value", 200, Get("/hello", "Host: \t a \t \r\nConnection: close\r\n")},
      {"obs-text in a value", 200, Get("/hello", close + "X: \xc3\xa4\r\n")},
      {"empty value", 200, Get("/hello", close + "X:\r\n")},
      {"upgrade is ignored", 200, Get("/hello", close + "Upgrade: h2c\r\n")},
      {"query", 200, Get("/hello?a=%20b", close)},
      {"star for OPTIONS", 404, "OPTIONS * HTTP/1.1\r\n" + close + "\r\n"},
  };
  for (const Case& test : cases) {
    EXPECT_EQ(StatusOf(Exchange(test.bytes)), test.status) << test.id;
  }
}

TEST_F(HostileHttp, H1DropsTrailers) {
  Listen();
  const std::string answer = Exchange(
      "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
      "2\r\nhi\r\n0\r\nAuthorization: Bearer x\r\nHost: b\r\n\r\n");
  EXPECT_EQ(StatusOf(answer), 200);
  EXPECT_EQ(handler_.last_head().Find("authorization"), nullptr);
  EXPECT_EQ(*handler_.last_head().Find("host"), "a");
}

TEST_F(HostileHttp, H1ReadsTheNextRequestRightAfterTheTrailers) {
  Listen();
  const std::string answer = Exchange(
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "2\r\nhi\r\n0\r\nConnection: close\r\nContent-Type: x\r\n\r\n" +
      Get("/hello", "Host: b\r\nConnection: close\r\n") + std::string(kSmuggled));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nhi"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nhello"));
  EXPECT_EQ(handler_.counts.heads, 2);
  EXPECT_EQ(*handler_.last_head().Find("host"), "b");
}

TEST_F(HostileHttp, H2BoundsChunks) {
  Listen();
  const std::string head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::string tiny;
  for (int i = 0; i < 500000; ++i) tiny += "1\r\nx\r\n";
  struct ChunkCase {
    const char* id;
    int status;
    std::string body;
    const char* code;
  };
  const std::vector<ChunkCase> cases = {
      {"minus", 400, "-2\r\nhi\r\n0\r\n\r\n", "bad_request"},
      {"plus", 400, "+2\r\nhi\r\n0\r\n\r\n", "bad_request"},
      {"0x", 400, "0x2\r\nhi\r\n0\r\n\r\n", "bad_request"},
      {"2^64", 400, "10000000000000000\r\n", "bad_request"},
      {"2^64 + 2", 400, "10000000000000002\r\nhi\r\n0\r\n\r\n", "bad_request"},
      {"many zeros", 400, std::string(40, '0') + "2\r\nhi\r\n", "bad_request"},
      {"no size", 400, "\r\nhi\r\n0\r\n\r\n", "bad_request"},
      {"blank after the size", 400, "2 \r\nhi\r\n0\r\n\r\n", "bad_request"},
      {"blank before the size", 400, " 2\r\nhi\r\n0\r\n\r\n", "bad_request"},
      {"bare LF after the size", 400, "2\nhi\r\n0\r\n\r\n", "bad_request"},
      {"bare LF after the data", 400, "2\r\nhi\n0\r\n\r\n", "bad_request"},
      {"bare LF in a quoted extension", 400, "2;a=\"\n\"\r\nhi\r\n0\r\n\r\n", "bad_request"},
      {"bare CR in an extension", 400, "2;a\rb\r\nhi\r\n0\r\n\r\n", "bad_request"},
      {"bare LF in an extension", 400, "2;a\nhi\r\n0\r\n\r\n", "bad_request"},
      {"more data than the size", 400, "2\r\nhill\r\n0\r\n\r\n", "bad_request"},
      {"folded trailer", 400, "0\r\nX: 1\r\n 2\r\n\r\n", "bad_request"},
      {"trailer without a colon", 400, "0\r\nX\r\n\r\n", "bad_request"},
      {"64 KB extension", 400, "2;" + std::string(64000, 'a') + "\r\nhi\r\n0\r\n\r\n", "chunk_overhead"},
      {"20 KB extension", 400, "2;a=" + std::string(20000, 'a') + "\r\nhi\r\n0\r\n\r\n", "chunk_overhead"},
      {"20 KB extension of the last chunk", 400, "0;" + std::string(20000, 'a') + "\r\n\r\n",
       "chunk_overhead"},
      {"20 KB trailer", 400, "2\r\nhi\r\n0\r\nX: " + std::string(20000, 'a') + "\r\n\r\n", "chunk_overhead"},
      {"3 MB of 6-byte chunks", 400, tiny, "chunk_overhead"},
      {"announces more than the limit", 413, "500000\r\n", "request_too_large"},
  };
  for (const ChunkCase& test : cases) {
    SCOPED_TRACE(test.id);
    RawSocket socket(server_->port());
    socket.Send(head + test.body);
    const std::string answer = socket.Receive();
    EXPECT_EQ(StatusOf(answer), test.status) << answer;
    EXPECT_THAT(answer, HasSubstr(test.code));
    EXPECT_EQ(NumResponses(answer), 1);
    EXPECT_TRUE(socket.SeesEnd());
  }
  EXPECT_EQ(handler_.counts.bodies, 0);
  ExpectServes();
}

// GT-16: a line that never ends in CRLF is not a line, and the client runs into the time for bodies.
TEST_F(HostileHttp, H2WaitsForTheEndOfAChunkLine) {
  HttpServerOptions options;
  options.body_idle_timeout = milliseconds(200);
  Listen(options);
  for (const char* body : {"2\n", "2\r\nhi\r\n0\n\n", "2\r\nhi\r\n0\r\n\n", "2;a\n"}) {
    RawSocket socket(server_->port());
    socket.Send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    socket.Send(body);
    const std::string answer = socket.Receive();
    EXPECT_EQ(StatusOf(answer), 408) << body;
    EXPECT_THAT(answer, HasSubstr("request_timeout"));
    EXPECT_TRUE(socket.SeesEnd());
  }
  // With a second request behind it, the line ends there, and is malformed.
  for (const char* body : {"2\n", "2\r\nhi\r\n0\r\n\n"}) {
    RawSocket socket(server_->port());
    socket.Send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(body) +
                std::string(kSmuggled));
    const std::string answer = socket.Receive();
    EXPECT_EQ(StatusOf(answer), 400) << body;
    EXPECT_EQ(NumResponses(answer), 1);
  }
  EXPECT_EQ(handler_.counts.bodies, 0);
  ExpectServes();
}

TEST_F(HostileHttp, H3BoundsHeads) {
  Listen();
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 10000; ++i) many += "a:\r\n";
  std::string hundred = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
  for (int i = 0; i < 98; ++i) hundred += "a:\r\n";
  ExpectRefused({"10,000 fields", 431, many + "\r\n"});
  ExpectRefused({"101 fields", 431, hundred + "a:\r\n\r\n"});
  EXPECT_EQ(StatusOf(Exchange(hundred + "\r\n")), 200);
  ExpectRefused({"request line of 9,000 bytes", 414, Get("/" + std::string(9000, 'a'))});
  ExpectRefused(
      {"one field of 17,000 bytes", 431, Get("/", "Host: a\r\nX: " + std::string(17000, 'a') + "\r\n")});
  // One header that does not end: the server stops reading it, whatever the client still sends.
  RawSocket endless(server_->port());
  endless.Send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
  const std::string megabyte(1 << 20, 'x');
  int sent = 0;
  while (sent < 1024 && endless.Send(megabyte)) ++sent;
  EXPECT_LT(sent, 1024);
  ExpectServes();
}

TEST_F(HostileHttp, H4BoundsEndlessBodies) {
  HttpServerOptions options;
  options.max_body_bytes = 1 << 20;
  Listen(options);
  for (const char* expect : {"", "Expect: 100-continue\r\n"}) {
    RawSocket socket(server_->port());
    socket.Send(std::string("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n") + expect +
                "\r\n");
    const std::string answer = socket.Receive();
    EXPECT_EQ(StatusOf(answer), 413) << "at once, without a 100: " << answer;
    EXPECT_TRUE(socket.SeesEnd());
  }
  EXPECT_EQ(handler_.counts.heads, 0);
  RawSocket socket(server_->port());
  socket.Send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "4000\r\n" + std::string(0x4000, 'x') + "\r\n";
  int sent = 0;
  while (sent < 4096 && socket.Send(chunk)) ++sent;
  EXPECT_LT(sent, 4096);
  EXPECT_EQ(handler_.counts.bodies, 0);
  EXPECT_TRUE(Eventually([&] { return handler_.counts.disconnects == 1; })) << "the exchange is released";
  ExpectServes();
}

// H5 with 50 clients of each kind and short timeouts.
TEST_F(HostileHttp, H5OutlastsSlowClients) {
  HttpServerOptions options;
  options.head_timeout = milliseconds(400);
  options.body_idle_timeout = milliseconds(400);
  options.write_stall_timeout = milliseconds(600);
  Listen(options);
  constexpr int kClients = 50;
  std::vector<std::unique_ptr<RawSocket>> heads, bodies, readers;
  for (int i = 0; i < kClients; ++i) {
    heads.push_back(std::make_unique<RawSocket>(server_->port()));
    bodies.push_back(std::make_unique<RawSocket>(server_->port()));
    readers.push_back(std::make_unique<RawSocket>(server_->port(), 4096));
    bodies.back()->Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    readers.back()->Send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  constexpr std::string_view kHead = "GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
  for (size_t i = 0; i < 12; ++i) {
    for (auto& socket : heads) socket->Send(kHead.substr(i, 1));
    for (auto& socket : bodies) socket->Send("x");
    std::this_thread::sleep_for(milliseconds(50));
    if (i % 4 == 0) ExpectServes();
  }
  for (auto& socket : heads) EXPECT_EQ(StatusOf(socket->Receive()), 408);
  for (auto& socket : bodies) EXPECT_EQ(StatusOf(socket->Receive()), 408);
  EXPECT_TRUE(Eventually([&] { return handler_.counts.disconnects == 2 * kClients; }));
  // Per reader: what the kernel took, 256 KiB, and a turn's worth.
  EXPECT_LT(handler_.counts.flooded_bytes, int64_t{kClients} * (8 << 20));
  heads.clear();
  bodies.clear();
  EXPECT_TRUE(Eventually([&] { return server_->num_connections() == 0; }));
  ExpectServes();
}

}  // namespace
}  // namespace weir
