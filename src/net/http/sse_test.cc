#include "net/http/sse.h"

#include <gmock/gmock.h>

#include <vector>

namespace weir {
namespace {

using testing::ElementsAre;

std::vector<std::string> ParseInParts(std::string_view stream, size_t cut, bool* at_boundary = nullptr) {
  SseParser parser;
  std::vector<std::string> events;
  const auto take = [&](std::string_view data) { events.emplace_back(data); };
  EXPECT_TRUE(parser.Feed(stream.substr(0, cut), take).ok());
  EXPECT_TRUE(parser.Feed(stream.substr(cut), take).ok());
  if (at_boundary != nullptr) *at_boundary = parser.at_boundary();
  return events;
}

TEST(SseTest, WritesOneEvent) { EXPECT_EQ(SseEvent("{\"a\":1}"), "data: {\"a\":1}\n\n"); }

TEST(SseTest, ReadsTheSameEventsHoweverTheBytesAreCut) {
  const std::string stream = SseEvent("{\"a\":1}") + std::string(kSseKeepAlive) +
                             "event: x\r\ndata:two\r\ndata: lines\r\n\r\n" +
                             "id: 7\rdata\r\rdata:  \xc3\xa4\n\n" + "retry: 1\n\n" + std::string(kSseDone);
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    bool at_boundary = false;
    EXPECT_THAT(ParseInParts(stream, cut, &at_boundary),
                ElementsAre("{\"a\":1}", "two\nlines", "", " \xc3\xa4", "[DONE]"))
        << "cut at " << cut;
    EXPECT_TRUE(at_boundary);
  }
}

TEST(SseTest, ReadsByteByByte) {
  const std::string stream = "data: 1\r\n\r\n:c\n\ndata: 2\n\n";
  SseParser parser;
  std::vector<std::string> events;
  for (char c : stream) {
    ASSERT_TRUE(
        parser.Feed(std::string_view(&c, 1), [&](std::string_view data) { events.emplace_back(data); }).ok());
  }
  EXPECT_THAT(events, ElementsAre("1", "2"));
}

TEST(SseTest, KnowsAHalfEvent) {
  bool at_boundary = true;
  EXPECT_THAT(ParseInParts("data: 1\n\ndata: 2\n", 3, &at_boundary), ElementsAre("1"));
  EXPECT_FALSE(at_boundary);
}

TEST(SseTest, RefusesAnEndlessLineForGood) {
  SseParser parser;
  const auto ignore = [](std::string_view) {};
  const std::string part(1 << 19, 'x');
  EXPECT_TRUE(parser.Feed(part, ignore).ok());
  EXPECT_TRUE(parser.Feed(part, ignore).ok());
  EXPECT_EQ(parser.Feed(part, ignore).code(), StatusCode::kDataLoss);
  EXPECT_EQ(parser.Feed("\n\n", ignore).code(), StatusCode::kDataLoss);
}

TEST(SseTest, RefusesAnEndlessEvent) {
  SseParser parser;
  const std::string line = "data: " + std::string(1 << 18, 'x') + "\n";
  Status status;
  for (int i = 0; i < 8 && status.ok(); ++i) status = parser.Feed(line, [](std::string_view) {});
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace weir
