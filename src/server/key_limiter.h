// What one key may use: requests and tokens per minute, requests at the same time.
//
// Owns      an account per key name; it outlives a reload of the keys
// Threads   any; one short lock
//
// A minute's allowance refills continuously. Tokens are taken by estimate when a request is let in and corrected by what
// it used, so an allowance can fall below zero; then the key waits until it is above again.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "net/http/server.h"
#include "server/key_ring.h"

namespace weir {

// An allowance of `per_minute` that refills evenly; 0 allows everything.
class TokenBucket {
 public:
  void Refill(int64_t per_minute, TimePoint now);
  // Also when there is less: what was used was used.
  void Take(double amount) { level_ -= per_minute_ > 0 ? amount : 0; }
  // Time until `amount` is there; an amount above the whole allowance waits for the whole allowance.
  Duration TimeUntil(double amount) const;
  Duration TimeUntilFull() const { return TimeUntil(static_cast<double>(per_minute_)); }
  int64_t limit() const { return per_minute_; }
  int64_t remaining() const { return level_ > 0 ? static_cast<int64_t>(level_) : 0; }

 private:
  int64_t per_minute_ = 0;
  double level_ = 0;
  TimePoint filled_{};
};

class KeyLimiter;

// One admitted request of a key with limits. Its end frees the place and settles the tokens.
class KeyGrant {
 public:
  ~KeyGrant();
  KeyGrant(const KeyGrant&) = delete;
  KeyGrant& operator=(const KeyGrant&) = delete;

  void SetUsedTokens(int64_t tokens) { used_tokens_ = tokens; }

 private:
  friend class KeyLimiter;
  struct Account;
  KeyGrant(std::shared_ptr<Account> account, int64_t estimated_tokens)
      : account_(std::move(account)), estimated_tokens_(estimated_tokens) {}

  std::shared_ptr<Account> account_;
  int64_t estimated_tokens_;
  int64_t used_tokens_ = 0;
};

class KeyLimiter {
 public:
  struct Decision {
    std::shared_ptr<KeyGrant> grant;  // null: refused
    Status refusal;                   // RESOURCE_EXHAUSTED "key_limit"
    Duration retry_after{};
  };

  KeyLimiter();
  ~KeyLimiter();

  Decision Admit(const ApiKey& key, int64_t estimated_tokens, TimePoint now);
  // x-ratelimit-*; none for a key without such limits.
  std::vector<HttpHeader> Headers(const ApiKey& key, TimePoint now);

 private:
  std::shared_ptr<KeyGrant::Account> AccountOf(const std::string& name);

  Mutex mutex_;
  std::map<std::string, std::shared_ptr<KeyGrant::Account>> accounts_ GUARDED_BY(mutex_);
};

// "12ms", "7s", "6m0s": never less than the time.
std::string ResetText(Duration time);

}  // namespace weir
