#include "net/http/chunked_body.h"

#include <gtest/gtest.h>

#include <cctype>
#include <string>

namespace weir {
namespace {

using Event = ChunkedBody::Event;

// Feeds `input` and returns the joined data; `event` is the last one, `rest` what was left over.
std::string Take(ChunkedBody& chunks, std::string_view input, Event& event,
                 std::string_view* rest = nullptr) {
  std::string joined;
  std::string_view data;
  while ((event = chunks.Next(input, data)) == Event::kData) joined += data;
  if (rest != nullptr) *rest = input;
  return joined;
}

constexpr std::string_view kBody =
    "5\r\nhello\r\n1;name=\"v\"\r\n \r\n0000A\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n";

TEST(ChunkedBodyTest, ReadsTheSameDataHoweverTheBytesAreCut) {
  for (size_t cut = 0; cut <= kBody.size(); ++cut) {
    ChunkedBody chunks(100, 100);
    Event event = Event::kError;
    std::string joined = Take(chunks, kBody.substr(0, cut), event);
    ASSERT_EQ(event, cut == kBody.size() ? Event::kDone : Event::kNeedMore) << cut;
    joined += Take(chunks, kBody.substr(cut), event);
    EXPECT_EQ(event, Event::kDone);
    EXPECT_EQ(joined, "hello 0123456789");
    EXPECT_EQ(chunks.body_bytes(), joined.size());
  }
}

TEST(ChunkedBodyTest, LeavesTheNextRequestAlone) {
  ChunkedBody chunks(100, 100);
  Event event = Event::kError;
  std::string_view rest;
  EXPECT_EQ(Take(chunks, "2\r\nhi\r\n0\r\n\r\nGET /", event, &rest), "hi");
  EXPECT_EQ(event, Event::kDone);
  EXPECT_EQ(rest, "GET /");
}

TEST(ChunkedBodyTest, RefusesAnnouncedDataAboveTheLimitBeforeItArrives) {
  ChunkedBody chunks(10, 100);
  Event event = Event::kError;
  EXPECT_EQ(Take(chunks, "8\r\n12345678\r\n", event), "12345678");
  EXPECT_EQ(event, Event::kNeedMore);
  Take(chunks, "3\r", event);
  EXPECT_EQ(event, Event::kError);
  EXPECT_EQ(chunks.error(), ChunkedBody::Error::kTooLarge);
  Take(chunks, "\n", event);
  EXPECT_EQ(event, Event::kError) << "for good";
}

TEST(ChunkedBodyTest, CountsFramingAgainstTheData) {
  ChunkedBody chunks(1000, 20);
  Event event = Event::kError;
  std::string input;
  for (int i = 0; i < 10; ++i) input += "1\r\nx\r\n";
  Take(chunks, input, event);
  EXPECT_EQ(event, Event::kError);
  EXPECT_EQ(chunks.error(), ChunkedBody::Error::kOverhead);
  ChunkedBody efficient(1000, 20);
  Take(efficient, "64\r\n" + std::string(100, 'x') + "\r\n64\r\n" + std::string(100, 'x') + "\r\n0\r\n\r\n",
       event);
  EXPECT_EQ(event, Event::kDone);
}

TEST(ChunkedBodyTest, RefusesAnyOneWrongFramingByte) {
  // Positions of kBody whose byte has one right value only, once the bytes before it are given.
  for (size_t at : {1, 2, 8, 9, 21, 23, 24}) {
    for (int byte = 0; byte < 256; ++byte) {
      if (static_cast<char>(byte) == kBody[at]) continue;
      std::string input(kBody.substr(0, at + 1));
      input[at] = static_cast<char>(byte);
      ChunkedBody chunks(1 << 20, 1000);
      Event event = Event::kDone;
      Take(chunks, input, event);
      // A digit or an extension may follow the first digit; nothing else may follow anything.
      const bool may_follow = at == 1 && (std::isxdigit(byte) != 0 || byte == ';');
      EXPECT_EQ(event, may_follow ? Event::kNeedMore : Event::kError) << at << " " << byte;
    }
  }
}

}  // namespace
}  // namespace weir
