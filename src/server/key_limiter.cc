#include "server/key_limiter.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace weir {
namespace {

constexpr double kMinuteSeconds = 60;
// How long a request that has a place usually keeps it is not known.
constexpr Duration kPlaceRetry = std::chrono::seconds(1);

void AddWindow(const char* what, const TokenBucket& bucket, std::vector<HttpHeader>* headers) {
  if (bucket.limit() == 0) return;
  headers->push_back({fmt::format("x-ratelimit-limit-{}", what), fmt::format("{}", bucket.limit())});
  headers->push_back({fmt::format("x-ratelimit-remaining-{}", what), fmt::format("{}", bucket.remaining())});
  headers->push_back({fmt::format("x-ratelimit-reset-{}", what), ResetText(bucket.TimeUntilFull())});
}

}  // namespace

void TokenBucket::Refill(int64_t per_minute, TimePoint now) {
  const auto capacity = static_cast<double>(per_minute);
  if (filled_ == TimePoint{}) level_ = capacity;
  // A reload that raises a limit gives the difference at once, one that lowers it takes it.
  if (filled_ != TimePoint{} && per_minute != per_minute_)
    level_ += capacity - static_cast<double>(per_minute_);
  per_minute_ = per_minute;
  level_ = std::min(capacity, level_ + ToSeconds(now - filled_) * capacity / kMinuteSeconds);
  filled_ = now;
}

Duration TokenBucket::TimeUntil(double amount) const {
  if (per_minute_ == 0) return Duration::zero();
  const double missing = std::min(amount, static_cast<double>(per_minute_)) - level_;
  return missing <= 0 ? Duration::zero()
                      : FromSeconds(missing * kMinuteSeconds / static_cast<double>(per_minute_));
}

struct KeyGrant::Account {
  Mutex mutex;
  TokenBucket requests GUARDED_BY(mutex);
  TokenBucket tokens GUARDED_BY(mutex);
  int num_open GUARDED_BY(mutex) = 0;
};

KeyGrant::~KeyGrant() {
  MutexLock lock(account_->mutex);
  --account_->num_open;
  account_->tokens.Take(static_cast<double>(used_tokens_ - estimated_tokens_));
}

KeyLimiter::KeyLimiter() = default;
KeyLimiter::~KeyLimiter() = default;

std::shared_ptr<KeyGrant::Account> KeyLimiter::AccountOf(const std::string& name) {
  MutexLock lock(mutex_);
  std::shared_ptr<KeyGrant::Account>& account = accounts_[name];
  if (account == nullptr) account = std::make_shared<KeyGrant::Account>();
  return account;
}

KeyLimiter::Decision KeyLimiter::Admit(const ApiKey& key, int64_t estimated_tokens, TimePoint now) {
  const std::shared_ptr<KeyGrant::Account> account = AccountOf(key.owner.name);
  const auto refuse = [&](const std::string& what, Duration retry_after) {
    return Decision{nullptr,
                    ResourceExhausted(fmt::format("the key '{}' has used up its {}; wait for {}",
                                                  key.owner.name, what, ResetText(retry_after)))
                        .WithReason("key_limit"),
                    retry_after};
  };
  MutexLock lock(account->mutex);
  account->requests.Refill(key.limits.requests_per_minute, now);
  account->tokens.Refill(key.limits.tokens_per_minute, now);
  if (const Duration wait = account->requests.TimeUntil(1); wait > Duration::zero())
    return refuse(fmt::format("{} requests per minute", key.limits.requests_per_minute), wait);
  if (const Duration wait = account->tokens.TimeUntil(static_cast<double>(estimated_tokens));
      wait > Duration::zero())
    return refuse(fmt::format("{} tokens per minute", key.limits.tokens_per_minute), wait);
  if (key.limits.max_concurrent > 0 && account->num_open >= key.limits.max_concurrent)
    return refuse(fmt::format("{} requests at the same time", key.limits.max_concurrent), kPlaceRetry);
  account->requests.Take(1);
  account->tokens.Take(static_cast<double>(estimated_tokens));
  ++account->num_open;
  return {std::shared_ptr<KeyGrant>(new KeyGrant(account, estimated_tokens)), OkStatus(), Duration::zero()};
}

std::vector<HttpHeader> KeyLimiter::Headers(const ApiKey& key, TimePoint now) {
  std::vector<HttpHeader> headers;
  const std::shared_ptr<KeyGrant::Account> account = AccountOf(key.owner.name);
  MutexLock lock(account->mutex);
  account->requests.Refill(key.limits.requests_per_minute, now);
  account->tokens.Refill(key.limits.tokens_per_minute, now);
  AddWindow("requests", account->requests, &headers);
  AddWindow("tokens", account->tokens, &headers);
  return headers;
}

std::string ResetText(Duration time) {
  const int64_t ms = std::chrono::ceil<std::chrono::milliseconds>(time).count();
  if (ms < 1000) return fmt::format("{}ms", std::max<int64_t>(0, ms));
  const int64_t seconds = (ms + 999) / 1000;
  if (seconds < 60) return fmt::format("{}s", seconds);
  return fmt::format("{}m{}s", seconds / 60, seconds % 60);
}

}  // namespace weir
