#include "server/key_limiter.h"

#include <gtest/gtest.h>

#include <string>

namespace weir {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kStart{std::chrono::hours(1)};

ApiKey Key(KeyLimits limits, const std::string& name = "k") {
  ApiKey key;
  key.owner.name = name;
  key.limits = limits;
  return key;
}

std::string Find(const std::vector<HttpHeader>& headers, const std::string& name) {
  for (const HttpHeader& header : headers) {
    if (header.name == name) return header.value;
  }
  return "";
}

TEST(KeyLimiterTest, AMinutesRequestsAreGoneAndComeBackEvenly) {
  KeyLimiter limiter;
  const ApiKey key = Key({.requests_per_minute = 6});
  for (int i = 0; i < 6; ++i) EXPECT_NE(limiter.Admit(key, 0, kStart).grant, nullptr) << i;
  const KeyLimiter::Decision refused = limiter.Admit(key, 0, kStart);
  EXPECT_EQ(refused.grant, nullptr);
  EXPECT_EQ(refused.refusal.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.refusal.reason(), "key_limit");
  EXPECT_EQ(refused.retry_after, seconds(10));
  EXPECT_EQ(limiter.Admit(key, 0, kStart + seconds(9)).grant, nullptr);
  EXPECT_NE(limiter.Admit(key, 0, kStart + seconds(10)).grant, nullptr);
  EXPECT_EQ(limiter.Admit(key, 0, kStart + seconds(11)).grant, nullptr);
}

TEST(KeyLimiterTest, OneKeyDoesNotUseUpAnother) {
  KeyLimiter limiter;
  EXPECT_NE(limiter.Admit(Key({.requests_per_minute = 1}, "a"), 0, kStart).grant, nullptr);
  EXPECT_EQ(limiter.Admit(Key({.requests_per_minute = 1}, "a"), 0, kStart).grant, nullptr);
  EXPECT_NE(limiter.Admit(Key({.requests_per_minute = 1}, "b"), 0, kStart).grant, nullptr);
}

TEST(KeyLimiterTest, TokensAreTakenByEstimateAndSettledByUse) {
  KeyLimiter limiter;
  const ApiKey key = Key({.tokens_per_minute = 600});
  std::shared_ptr<KeyGrant> grant = limiter.Admit(key, 100, kStart).grant;
  ASSERT_NE(grant, nullptr);
  EXPECT_EQ(Find(limiter.Headers(key, kStart), "x-ratelimit-remaining-tokens"), "500");
  grant->SetUsedTokens(700);
  grant.reset();
  EXPECT_EQ(Find(limiter.Headers(key, kStart), "x-ratelimit-remaining-tokens"), "0");
  const KeyLimiter::Decision refused = limiter.Admit(key, 10, kStart);
  EXPECT_EQ(refused.grant, nullptr);
  EXPECT_EQ(refused.retry_after, seconds(11)) << "100 below zero and 10 wanted, at 10 per second";
  grant = limiter.Admit(key, 10, kStart + seconds(11)).grant;
  ASSERT_NE(grant, nullptr);
  grant.reset();  // used nothing
  EXPECT_EQ(Find(limiter.Headers(key, kStart + seconds(11)), "x-ratelimit-remaining-tokens"), "10");
}

TEST(KeyLimiterTest, ARequestAboveTheWholeAllowanceWaitsForAFullOneAndThenGoes) {
  KeyLimiter limiter;
  const ApiKey key = Key({.tokens_per_minute = 60});
  std::shared_ptr<KeyGrant> grant = limiter.Admit(key, 1000, kStart).grant;
  ASSERT_NE(grant, nullptr);
  grant->SetUsedTokens(1000);
  grant.reset();
  EXPECT_EQ(limiter.Admit(key, 1000, kStart + seconds(999)).grant, nullptr)
      << "940 below zero, one comes each second";
  EXPECT_NE(limiter.Admit(key, 1000, kStart + seconds(1000)).grant, nullptr);
}

TEST(KeyLimiterTest, APlaceIsFreedWhenTheRequestEnds) {
  KeyLimiter limiter;
  const ApiKey key = Key({.max_concurrent = 2});
  std::shared_ptr<KeyGrant> first = limiter.Admit(key, 0, kStart).grant;
  const std::shared_ptr<KeyGrant> second = limiter.Admit(key, 0, kStart).grant;
  EXPECT_EQ(limiter.Admit(key, 0, kStart).grant, nullptr);
  first.reset();
  EXPECT_NE(limiter.Admit(key, 0, kStart).grant, nullptr);
}

TEST(KeyLimiterTest, OnlyLimitsThatExistAreTold) {
  KeyLimiter limiter;
  EXPECT_TRUE(limiter.Headers(Key({.max_concurrent = 2}), kStart).empty());
  const auto headers = limiter.Headers(Key({.requests_per_minute = 60}), kStart);
  EXPECT_EQ(headers.size(), 3u);
  EXPECT_EQ(Find(headers, "x-ratelimit-limit-requests"), "60");
  EXPECT_EQ(Find(headers, "x-ratelimit-reset-requests"), "0ms");
}

TEST(KeyLimiterTest, AReloadMovesTheLimitAtOnce) {
  KeyLimiter limiter;
  for (int i = 0; i < 3; ++i)
    EXPECT_NE(limiter.Admit(Key({.requests_per_minute = 3}), 0, kStart).grant, nullptr);
  EXPECT_EQ(limiter.Admit(Key({.requests_per_minute = 3}), 0, kStart).grant, nullptr);
  EXPECT_NE(limiter.Admit(Key({.requests_per_minute = 5}), 0, kStart).grant, nullptr);
  EXPECT_EQ(limiter.Admit(Key({.requests_per_minute = 2}), 0, kStart).grant, nullptr);
}

TEST(KeyLimiterTest, ResetTimesNeverPromiseTooEarly) {
  EXPECT_EQ(ResetText(Duration::zero()), "0ms");
  EXPECT_EQ(ResetText(milliseconds(12)), "12ms");
  EXPECT_EQ(ResetText(Duration(1)), "1ms");
  EXPECT_EQ(ResetText(milliseconds(999)), "999ms");
  EXPECT_EQ(ResetText(milliseconds(1001)), "2s");
  EXPECT_EQ(ResetText(seconds(60)), "1m0s");
  EXPECT_EQ(ResetText(milliseconds(359'001)), "6m0s");
}

}  // namespace
}  // namespace weir
