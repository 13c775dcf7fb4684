// Who may use the server: API keys as their digests, never the keys themselves.
//
// Requires  CheckKeys() passed
// Errors    CheckKeys: INVALID_ARGUMENT naming the entries that clash
// Threads   immutable; a reload makes a new ring
//
// Every lookup compares every entry in constant time, so that its duration tells nothing of how near a guess was.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/sha256.h"
#include "base/status.h"
#include "engine/request/request_owner.h"

namespace weir {

// Zero: no limit.
struct KeyLimits {
  int64_t requests_per_minute = 0;
  int64_t tokens_per_minute = 0;  // prompt and output together
  int max_concurrent = 0;

  bool any() const { return requests_per_minute > 0 || tokens_per_minute > 0 || max_concurrent > 0; }
};

struct ApiKey {
  Sha256Digest digest{};
  RequestOwner owner;
  KeyLimits limits;
  std::optional<std::chrono::system_clock::time_point> expires;
};

Status CheckKeys(const std::vector<ApiKey>& keys);

class KeyRing {
 public:
  // Gives every owner its salt.
  explicit KeyRing(std::vector<ApiKey> keys);

  // Null for an unknown or expired key. The pointer lives as long as the ring.
  const ApiKey* Find(std::string_view presented, std::chrono::system_clock::time_point now) const;
  const std::vector<ApiKey>& keys() const { return keys_; }

 private:
  std::vector<ApiKey> keys_;
};

}  // namespace weir
