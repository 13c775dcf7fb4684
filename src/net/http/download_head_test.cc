#include "net/http/download_head.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

DownloadHead Of(std::initializer_list<std::string_view> lines) {
  DownloadHead head;
  for (const std::string_view line : lines) head.TakeLine(line);
  return head;
}

TEST(DownloadHeadTest, ReadsWhatAPartOfAFileSays) {
  const DownloadHead head =
      Of({"HTTP/1.1 206 Partial Content\r\n", "Content-Range: bytes 100-199/1000\r\n",
          "content-length:  100 \r\n", "ETag: \"a\"\r\n", "Retry-After: 7\r\n", "\r\n"});
  EXPECT_EQ(head.status, 206);
  EXPECT_EQ(head.range_first, 100);
  EXPECT_EQ(head.range_total, 1000);
  EXPECT_EQ(head.length, 100);
  EXPECT_EQ(head.retry_after_s, 7);
  EXPECT_EQ(head.Validator(), "\"a\"");
}

TEST(DownloadHeadTest, AnInterimAnswerLeavesNothingBehind) {
  const DownloadHead head =
      Of({"HTTP/1.1 103 Early Hints", "ETag: \"a\"", "HTTP/1.1 200 OK", "Content-Length: 5"});
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.etag, "");
  EXPECT_EQ(head.length, 5);
}

TEST(DownloadHeadTest, WhatIsNoNumberIsNotSaid) {
  const DownloadHead head = Of({"HTTP/1.1 2xx", "Content-Length: -5", "Content-Range: bytes */1000",
                                "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT", "no colon"});
  EXPECT_EQ(head.status, 0);
  EXPECT_FALSE(head.length.has_value());
  EXPECT_FALSE(head.range_first.has_value());
  EXPECT_EQ(head.range_total, 1000);
  EXPECT_FALSE(head.retry_after_s.has_value());
}

TEST(DownloadHeadTest, AWeakTagDoesNotTellVersionsApart) {
  EXPECT_EQ(Of({"HTTP/1.1 200 OK", "ETag: W/\"a\"", "Last-Modified: today"}).Validator(), "");
  EXPECT_EQ(Of({"HTTP/1.1 200 OK", "Last-Modified: today"}).Validator(), "today");
}

}  // namespace
}  // namespace weir
