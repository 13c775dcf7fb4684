#include "net/http/head_gate.h"

#include <gmock/gmock.h>

#include "net/http/request_parser.h"

namespace weir {
namespace {

using Scanned = HeadGate::Scanned;

constexpr std::string_view kHead =
    "\r\nPOST /v1/completions?x=1 HTTP/1.1\r\nHost: localhost:8000\r\nAuthorization:  Bearer k \r\n"
    "Content-Length: 12\r\nExpect: 100-Continue\r\nConnection: foo, Close\r\n\r\n";

std::variant<GatedHead, GateError> Judge(std::string_view head) {
  return RequestParser(1 << 20).ReadHead(head);
}

GatedHead Accepted(std::string_view head) {
  auto judged = Judge(head);
  const auto* error = std::get_if<GateError>(&judged);
  EXPECT_EQ(error, nullptr) << (error != nullptr ? error->message : "");
  return error == nullptr ? std::get<GatedHead>(std::move(judged)) : GatedHead{};
}

TEST(HeadGateTest, ReadsAHead) {
  const GatedHead gated = Accepted(kHead);
  EXPECT_EQ(gated.head.method, "POST");
  EXPECT_EQ(gated.head.target, "/v1/completions?x=1");
  EXPECT_EQ(gated.head.path, "/v1/completions");
  EXPECT_EQ(gated.head.query, "x=1");
  EXPECT_EQ(gated.head.minor_version, 1);
  EXPECT_EQ(gated.head.content_length, 12u);
  EXPECT_FALSE(gated.head.chunked);
  EXPECT_EQ(*gated.head.Find("AUTHORIZATION"), "Bearer k");
  EXPECT_EQ(gated.head.Find("x-none"), nullptr);
  EXPECT_TRUE(gated.expect_continue);
  EXPECT_FALSE(gated.keep_alive);
}

TEST(HeadGateTest, FindsTheEndHoweverTheBytesArrive) {
  const std::string bytes = std::string(kHead) + "body follows";
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    HeadGate gate;
    Scanned scanned = gate.Scan(std::string_view(bytes).substr(0, cut));
    if (cut < kHead.size()) {
      ASSERT_EQ(scanned, Scanned::kNeedMore) << cut;
      scanned = gate.Scan(bytes);
    }
    ASSERT_EQ(scanned, Scanned::kComplete) << cut;
    EXPECT_EQ(gate.head_size(), kHead.size());
  }
}

TEST(HeadGateTest, RefusesAtTheSameByteHoweverTheBytesArrive) {
  const std::string bytes = "GET / HTTP/1.1\r\nHost: a\nX";
  HeadGate gate;
  for (size_t size = 1; size + 2 < bytes.size(); ++size) {
    ASSERT_EQ(gate.Scan(std::string_view(bytes).substr(0, size)), Scanned::kNeedMore) << size;
  }
  EXPECT_EQ(gate.Scan(std::string_view(bytes).substr(0, bytes.size() - 1)), Scanned::kRefused);
  EXPECT_EQ(gate.error().status, 400);
}

TEST(HeadGateTest, KeepsHttp10OnlyWhenAsked) {
  EXPECT_FALSE(Accepted("GET / HTTP/1.0\r\n\r\n").keep_alive);
  EXPECT_TRUE(Accepted("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
  EXPECT_FALSE(
      Accepted("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n").expect_continue);
}

TEST(HeadGateTest, TakesExactlyTheLimits) {
  const auto scan = [](const std::string& bytes) {
    HeadGate gate;
    return gate.Scan(bytes) == Scanned::kRefused ? gate.error().status : 0;
  };
  const std::string tail = " HTTP/1.1\r\nHost: a\r\n\r\n";
  const size_t target = kMaxRequestLineBytes - std::string("GET  HTTP/1.1").size();
  EXPECT_EQ(scan("GET " + std::string(target, '/') + tail), 0);
  EXPECT_EQ(scan("GET " + std::string(target + 1, '/') + tail), 414);
  EXPECT_EQ(scan(std::string(kMaxMethodBytes, 'M') + " /" + tail), 0);
  EXPECT_EQ(scan(std::string(kMaxMethodBytes + 1, 'M') + " /" + tail), 501);
  const std::string begin = "GET / HTTP/1.1\r\nX: ";
  EXPECT_EQ(scan(begin + std::string(kMaxHeadBytes - begin.size() - 4, 'x') + "\r\n\r\n"), 0);
  EXPECT_EQ(scan(begin + std::string(kMaxHeadBytes - begin.size() - 3, 'x') + "\r\n\r\n"), 431);
}

TEST(HeadGateTest, ListsAllowedMethodsAndForbidsRetries) {
  auto judged = Judge("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(std::holds_alternative<GateError>(judged));
  ASSERT_EQ(std::get<GateError>(judged).headers.size(), 1u);
  EXPECT_EQ(std::get<GateError>(judged).headers[0].name, "Allow");
  judged = Judge("GET / HTTP/3.0\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(std::holds_alternative<GateError>(judged));
  EXPECT_EQ(std::get<GateError>(judged).headers[0].name, "x-should-retry");
}

TEST(HeadGateTest, EscapesAndCutsWhatItQuotes) {
  const auto judged = Judge("GET \xff" + std::string(500, '<') + " HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(std::holds_alternative<GateError>(judged));
  const std::string& message = std::get<GateError>(judged).message;
  EXPECT_THAT(message, testing::HasSubstr("\\xff<<<"));
  EXPECT_LT(message.size(), 200u);
}

// Judge() must be right about every single byte, wherever it stands.
TEST(HeadGateTest, NeverReadsMoreThanOneLengthFromAnyOneByteChange) {
  const std::string good = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n";
  for (size_t at = 0; at < good.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(byte);
      HeadGate gate;
      if (gate.Scan(bytes) != Scanned::kComplete) continue;
      ASSERT_LE(gate.head_size(), bytes.size());
      const auto judged = Judge(std::string_view(bytes).substr(0, gate.head_size()));
      const auto* gated = std::get_if<GatedHead>(&judged);
      if (gated == nullptr) continue;
      EXPECT_EQ(gate.head_size(), bytes.size()) << at << " " << byte;
      EXPECT_FALSE(gated->head.chunked);
      EXPECT_EQ(gated->head.headers.size(), 2u) << at << " " << byte;
      // Either the length field was renamed, or its digits are those that were sent.
      const std::string* length = gated->head.Find("content-length");
      ASSERT_EQ(gated->head.content_length.has_value(), length != nullptr);
      if (length != nullptr) {
        EXPECT_EQ(std::to_string(*gated->head.content_length), *length);
      }
    }
  }
}

}  // namespace
}  // namespace weir
