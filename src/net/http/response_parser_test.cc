#include "net/http/response_parser.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using State = ResponseParser::State;

struct Parsed {
  State state = State::kHead;
  int heads = 0;
  std::string body;
  bool reusable = false;
};

Parsed Parse(std::string_view bytes, size_t cut, bool head_method = false) {
  Parsed parsed;
  ResponseParser parser(head_method);
  ResponseParser::Sink sink;
  sink.on_head = [&] { ++parsed.heads; };
  sink.on_body = [&](std::string_view data) { parsed.body += data; };
  parsed.state = parser.Feed(bytes.substr(0, cut), sink);
  if (parsed.state == State::kHead || parsed.state == State::kBody)
    parsed.state = parser.Feed(bytes.substr(cut), sink);
  parsed.reusable = parser.reusable();
  return parsed;
}

TEST(ResponseParserTest, ReadsTheSameResponseHoweverTheBytesAreCut) {
  for (std::string_view bytes :
       {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n3\r\nody\r\n0\r\n\r\n"}) {
    for (size_t cut = 0; cut <= bytes.size(); ++cut) {
      const Parsed parsed = Parse(bytes, cut);
      ASSERT_EQ(parsed.state, State::kComplete) << bytes << " cut at " << cut;
      EXPECT_EQ(parsed.heads, 1);
      EXPECT_EQ(parsed.body, "body");
      EXPECT_TRUE(parsed.reusable);
    }
  }
}

TEST(ResponseParserTest, EndsWithoutABodyWhereNoneBelongs) {
  EXPECT_EQ(Parse("HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", 5).state, State::kComplete);
  EXPECT_EQ(Parse("HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\n", 5, true).state, State::kComplete);
  EXPECT_EQ(Parse("HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n", 5).state, State::kComplete);
  EXPECT_EQ(Parse("HTTP/1.1 200 x\r\n\r\nuntil close", 5).state, State::kBody);
}

TEST(ResponseParserTest, KnowsWhenTheConnectionCanCarryMore) {
  EXPECT_FALSE(Parse("HTTP/1.1 200 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 5).reusable);
  EXPECT_FALSE(Parse("HTTP/1.0 200 x\r\nContent-Length: 0\r\n\r\n", 5).reusable);
  EXPECT_TRUE(Parse("HTTP/1.0 200 x\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", 5).reusable);
  EXPECT_FALSE(Parse("HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\nmore", 5).reusable);
}

TEST(ResponseParserTest, PassesEveryByteOfTheBodyOnAtOnce) {
  const std::string bytes =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\none\r\n3\r\ntwo\r\n";
  ResponseParser parser(false);
  std::string body;
  ResponseParser::Sink sink;
  sink.on_body = [&](std::string_view data) { body += data; };
  std::string after;
  for (char c : bytes) {
    parser.Feed(std::string_view(&c, 1), sink);
    after += std::to_string(body.size());
  }
  EXPECT_EQ(after.substr(after.find('1')), std::string("123") + "33333" + "456" + "66");
}

TEST(ResponseParserTest, SkipsAnyNumberOfInterimResponses) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += "HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 5\r\n\r\n";
  bytes += "HTTP/1.1 100\r\n\r\nHTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi";
  for (size_t cut : {size_t{1}, size_t{50}, bytes.size() - 3, bytes.size()}) {
    const Parsed parsed = Parse(bytes, cut);
    EXPECT_EQ(parsed.state, State::kComplete);
    EXPECT_EQ(parsed.heads, 1);
    EXPECT_EQ(parsed.body, "hi");
    EXPECT_TRUE(parsed.reusable);
  }
}

TEST(ResponseParserTest, ReadsUntilTheServerCloses) {
  for (const char* head : {"HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n"}) {
    ResponseParser parser(false);
    std::string body;
    ResponseParser::Sink sink;
    sink.on_body = [&](std::string_view data) { body += data; };
    EXPECT_EQ(parser.Feed(head, sink), State::kBody);
    EXPECT_EQ(parser.Feed("one", sink), State::kBody);
    EXPECT_EQ(parser.Feed("two", sink), State::kBody);
    EXPECT_TRUE(parser.FinishAtEof());
    EXPECT_EQ(body, "onetwo");
    EXPECT_FALSE(parser.reusable());
  }
  ResponseParser cut(false);
  EXPECT_EQ(
      cut.Feed("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo", {.on_head = {}, .on_body = [](auto) {}}),
      State::kBody);
  EXPECT_FALSE(cut.FinishAtEof());
}

TEST(ResponseParserTest, RefusesMalformedFraming) {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& bytes :
       {chunked + "zz\r\n", chunked + "-1\r\nx\r\n", chunked + "10000000000000000\r\n", chunked + "2\r\nhix",
        chunked + "2\r\nhi\r\nx", chunked + "0\r\nno colon\r\n\r\n", chunked + "2;" + std::string(20000, 'a'),
        chunked + "0\r\nX: " + std::string(20000, 'a'),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"),
        std::string("HTTP/1.1 099 x\r\n\r\n"), std::string("HTTP/1.1 2000 x\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\nX: 1\r\n\r\n")}) {
    EXPECT_EQ(Parse(bytes + "......\r\n\r\n", bytes.size() / 2).state, State::kMalformed)
        << bytes.substr(0, 200);
  }
}

// Line by line, each complete: no single piece is long.
TEST(ResponseParserTest, BoundsAHeadThatNeverEnds) {
  ResponseParser parser(false);
  State state = parser.Feed("HTTP/1.1 200 OK\r\n", {});
  size_t fed = 0;
  for (; state == State::kHead && fed < (1 << 20); fed += 6) state = parser.Feed("a: b\r\n", {});
  EXPECT_EQ(state, State::kMalformed);
  EXPECT_LE(fed, size_t{65 << 10});
}

TEST(ResponseParserTest, RefusesAForeignProtocolAtItsFirstBytes) {
  EXPECT_EQ(Parse("220 smtp", 3).state, State::kMalformed);
  EXPECT_EQ(Parse("HTTP/2", 3).state, State::kMalformed);
}

}  // namespace
}  // namespace weir
