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

TEST(ResponseParserTest, RefusesAForeignProtocolAtItsFirstBytes) {
  EXPECT_EQ(Parse("220 smtp", 3).state, State::kMalformed);
  EXPECT_EQ(Parse("HTTP/2", 3).state, State::kMalformed);
}

}  // namespace
}  // namespace weir
