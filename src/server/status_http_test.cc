#include "server/status_http.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace weir {
namespace {

std::string Header(const HttpResponse& response, const std::string& name) {
  for (const HttpHeader& header : response.headers) {
    if (header.name == name) return header.value;
  }
  return "";
}

TEST(StatusHttpTest, EveryRefusalSaysWhenToComeBack) {
  const HttpResponse response = ToResponse(
      ToHttpError(ResourceExhausted("busy").WithReason("queue_full"), std::chrono::milliseconds(1234)));
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(Header(response, "Retry-After"), "2");
  EXPECT_EQ(Header(response, "retry-after-ms"), "1234");
  EXPECT_EQ(Header(response, "x-should-retry"), "");
  // Held in what clients obey, also when the engine gave no hint.
  EXPECT_EQ(Header(ToResponse(ToHttpError(ResourceExhausted(""), std::chrono::hours(1))), "Retry-After"),
            "60");
  EXPECT_EQ(
      Header(ToResponse(ToHttpError(ResourceExhausted(""), std::chrono::nanoseconds(5))), "retry-after-ms"),
      "100");
  EXPECT_NE(Header(ToResponse(ToHttpError(Unavailable("loading"))), "Retry-After"), "");
}

TEST(StatusHttpTest, BadInputIsNeverAServerError) {
  const HttpResponse response = ToResponse(ToHttpError(InvalidArgument("no").WithParam("stop")));
  EXPECT_EQ(response.status, 400);
  const Result<Json> body = ParseJson(response.body);
  ASSERT_TRUE(body.has_value());
  EXPECT_EQ((*body)["error"]["type"], "invalid_request_error");
  EXPECT_EQ((*body)["error"]["code"], "invalid_value");
  EXPECT_EQ((*body)["error"]["param"], "stop");
  EXPECT_EQ(ToHttpError(NotFound("")).status, 404);
}

TEST(StatusHttpTest, WhatRetryingCannotHelpSaysSo) {
  const HttpResponse late = ToResponse(ToHttpError(DeadlineExceeded("late")));
  EXPECT_EQ(late.status, 504);
  EXPECT_EQ(Header(late, "x-should-retry"), "false");
  const HttpResponse expired = ToResponse(ToHttpError(ResourceExhausted("").WithReason("deadline_expired")));
  EXPECT_EQ(expired.status, 429);
  EXPECT_EQ(Header(expired, "x-should-retry"), "false");
}

TEST(StatusHttpTest, DrainingClosesTheConnection) {
  EXPECT_TRUE(ToResponse(ToHttpError(Unavailable("").WithReason("draining"))).close);
  EXPECT_FALSE(ToResponse(ToHttpError(Unavailable("").WithReason("model_loading"))).close);
}

}  // namespace
}  // namespace weir
