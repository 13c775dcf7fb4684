#include "net/http/request_parser.h"

#include <gmock/gmock.h>

#include <cctype>
#include <string>

namespace weir {
namespace {

using Taken = RequestParser::Taken;
using testing::HasSubstr;

constexpr std::string_view kHead = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr std::string_view kBody =
    "5\r\nhello\r\n1;name=\"v\"\r\n \r\n0000A\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n";

RequestParser Chunked(uint64_t max_body_bytes = 1 << 20) {
  RequestParser parser(max_body_bytes);
  EXPECT_TRUE(std::holds_alternative<GatedHead>(parser.ReadHead(kHead)));
  return parser;
}

// Gives `bytes` in steps of `step`, as a connection does; `data` and `rest` are what came out and what was left.
struct Outcome {
  Taken taken = Taken::kNeedMore;
  std::string data{};
  std::string rest{};
  std::string code{};
};

Outcome Take(RequestParser& parser, std::string_view bytes, size_t step = std::string_view::npos) {
  Outcome outcome;
  while (!bytes.empty() && outcome.taken == Taken::kNeedMore) {
    outcome.rest += bytes.substr(0, step);
    bytes.remove_prefix(std::min(step, bytes.size()));
    std::string_view rest = outcome.rest;
    outcome.taken = parser.TakeBody(rest, &outcome.data);
    outcome.rest.erase(0, outcome.rest.size() - rest.size());
  }
  outcome.rest += bytes;
  if (outcome.taken == Taken::kError) outcome.code = parser.error().code;
  return outcome;
}

TEST(RequestParserTest, ReadsTheSameBodyHoweverTheBytesAreCut) {
  for (size_t step = 1; step <= kBody.size(); ++step) {
    RequestParser parser = Chunked();
    const Outcome outcome = Take(parser, kBody, step);
    ASSERT_EQ(outcome.taken, Taken::kDone) << step;
    EXPECT_EQ(outcome.data, "hello 0123456789");
    EXPECT_EQ(parser.body_bytes(), 16u);
    RequestParser cut = Chunked();
    EXPECT_EQ(Take(cut, kBody.substr(0, step - 1)).taken, Taken::kNeedMore) << step;
  }
}

TEST(RequestParserTest, ReadsAnEmptyChunkedBodyByteByByte) {
  RequestParser parser = Chunked();
  EXPECT_EQ(Take(parser, "0\r\n\r\n", 1).taken, Taken::kDone);
  RequestParser with_trailer = Chunked();
  EXPECT_EQ(Take(with_trailer, "0\r\nA: b\r\n\r\n", 1).taken, Taken::kDone);
}

TEST(RequestParserTest, ReadsABodyOfAnnouncedLength) {
  RequestParser parser(10);
  ASSERT_TRUE(std::holds_alternative<GatedHead>(
      parser.ReadHead("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")));
  EXPECT_EQ(parser.body_left(), 10u);
  EXPECT_FALSE(parser.done());
  Outcome outcome = Take(parser, "0123");
  EXPECT_EQ(outcome.taken, Taken::kNeedMore);
  EXPECT_EQ(parser.body_left(), 6u);
  outcome = Take(parser, "456789GET /", 5);
  EXPECT_EQ(outcome.taken, Taken::kDone);
  EXPECT_EQ(outcome.data, "456789");
  EXPECT_EQ(outcome.rest, "GET /");
}

TEST(RequestParserTest, JudgesAHeadBeforeItsLength) {
  const auto status = [](std::string_view head) {
    const auto read = RequestParser(10).ReadHead(head);
    const auto* error = std::get_if<GateError>(&read);
    return error == nullptr ? 0 : error->status;
  };
  EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"), 413);
  EXPECT_EQ(status("POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"), 400);
  EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n"), 413);
}

TEST(RequestParserTest, LeavesTheNextRequestAlone) {
  for (size_t step : {1, 3, 100}) {
    RequestParser parser = Chunked();
    const Outcome outcome =
        Take(parser, "2\r\nhi\r\n0\r\nHost: b\r\nAuthorization: x\r\n\r\nGET / HTTP/1.1\r\n\r\n", step);
    EXPECT_EQ(outcome.taken, Taken::kDone);
    EXPECT_EQ(outcome.data, "hi");
    EXPECT_EQ(outcome.rest, "GET / HTTP/1.1\r\n\r\n") << step;
  }
}

TEST(RequestParserTest, RefusesAnnouncedDataAboveTheLimitBeforeItArrives) {
  RequestParser parser = Chunked(10);
  Outcome outcome = Take(parser, "8\r\n12345678\r\n");
  EXPECT_EQ(outcome.data, "12345678");
  EXPECT_EQ(outcome.taken, Taken::kNeedMore);
  outcome = Take(parser, outcome.rest + "3\r\n");
  EXPECT_EQ(outcome.taken, Taken::kError);
  EXPECT_EQ(parser.error().status, 413);
  EXPECT_EQ(Take(parser, "1\r\nx\r\n").taken, Taken::kError) << "for good";
}

TEST(RequestParserTest, CountsFramingAgainstTheData) {
  std::string tiny;
  for (int i = 0; i < 5000; ++i) tiny += "1\r\nx\r\n";
  RequestParser wasteful = Chunked();
  EXPECT_EQ(Take(wasteful, tiny, 1000).code, "chunk_overhead");
  std::string large;
  for (int i = 0; i < 5000; ++i) large += "6\r\nxxxxxx\r\n";
  RequestParser efficient = Chunked();
  EXPECT_EQ(Take(efficient, large + "0\r\n\r\n", 1000).taken, Taken::kDone);
}

TEST(RequestParserTest, HoldsNoMoreThan16KiBOfOneSizeLineOrOfTrailers) {
  const std::string data = "80000\r\n" + std::string(0x80000, 'x') + "\r\n";
  for (const std::string begin : {"2;", "2;a=\"", "0\r\nX: ", "0;", "0;a=\""}) {
    RequestParser parser = Chunked();
    size_t most = 0;
    std::string rest;
    std::string ignored;
    std::string input = data + begin;
    Taken taken = Taken::kNeedMore;
    for (int i = 0; i < 100 && taken == Taken::kNeedMore; ++i) {
      rest += input;
      std::string_view view = rest;
      taken = parser.TakeBody(view, &ignored);
      rest.erase(0, rest.size() - view.size());
      most = std::max(most, rest.size());
      input = std::string(1000, 'a');
    }
    EXPECT_EQ(taken, Taken::kError) << begin;
    EXPECT_EQ(parser.error().code, "chunk_overhead");
    EXPECT_LT(most, size_t{18} << 10);
    // The same when all of it arrives at once.
    RequestParser at_once = Chunked();
    EXPECT_EQ(Take(at_once, data + begin + std::string(20000, 'a') + "\r\n\r\n").code, "chunk_overhead")
        << begin;
  }
}

TEST(RequestParserTest, RefusesWhatOthersMayReadDifferently) {
  for (const char* bytes :
       {"2;a=\"\n\"\r\nhi\r\n0\r\n\r\n", "2;a=\"\x01\"\r\nhi\r\n0\r\n\r\n", "2;\r\nhi\r\n0\r\n\r\n",
        "2;a=\"\r\n\"\r\nhi\r\n0\r\n\r\n", "0\r\nX: 1\r\n 2\r\n\r\n", "0\r\nX:\r\n\t2\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\nX : 1\r\n\r\n",
        "0\r\nX: 1\n\r\n\r\n", "0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "0000000000000002\r\nhi\r\n",
        "0000000000000000\r\n\r\n", "2\r\nhi0\r\n\r\n", "2\r\nhi\r\n\r\n0\r\n\r\n"}) {
    for (size_t step : {1, 1000}) {
      RequestParser parser = Chunked();
      EXPECT_EQ(Take(parser, bytes, step).code, "bad_request") << bytes << " in steps of " << step;
      EXPECT_THAT(parser.error().message, testing::Not(testing::IsEmpty()));
    }
  }
}

TEST(RequestParserTest, RefusesAnyOneWrongFramingByte) {
  // Positions of kBody whose byte has one right value only, once the bytes before it are given.
  for (size_t at : {1, 2, 8, 9, 21, 23, 24}) {
    for (int byte = 0; byte < 256; ++byte) {
      if (static_cast<char>(byte) == kBody[at]) continue;
      std::string input(kBody.substr(0, at + 1));
      input[at] = static_cast<char>(byte);
      input += "0\r\n\r\n0\r\n\r\n";  // until then a size line may just be incomplete
      RequestParser parser = Chunked();
      const Outcome outcome = Take(parser, input, 1);
      // A digit or an extension may follow the first digit; nothing else may follow anything.
      const bool may_follow = at == 1 && (std::isxdigit(byte) != 0 || byte == ';');
      if (may_follow) continue;
      EXPECT_NE(outcome.taken, Taken::kDone) << at << " " << byte;
      EXPECT_EQ(outcome.data, at < 8 ? "" : at < 23 ? "hello" : "hello ") << at << " " << byte;
    }
  }
}

TEST(RequestParserTest, NamesTheLineThatIsMalformed) {
  const auto read = RequestParser(10).ReadHead("GET / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\nZ: 2\r\n\r\n");
  ASSERT_TRUE(std::holds_alternative<GateError>(read));
  EXPECT_THAT(std::get<GateError>(read).message, HasSubstr("'X Y: 1'"));
}

TEST(RequestParserTest, TakesEveryCharacterThatATargetMayHave) {
  const std::string target = "/-._~!$&'()*+,;=:@/%41?azAZ09";
  const auto read = RequestParser(10).ReadHead("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(std::holds_alternative<GatedHead>(read)) << std::get<GateError>(read).message;
  EXPECT_EQ(std::get<GatedHead>(read).head.target, target);
}

}  // namespace
}  // namespace weir
