// Who sent a request, as far as the server knows: the key it came with, and that key's permission to use the machine.
//
// Owns      a share of the ring the key is in, and the grant until the request is closed
// Threads   immutable, but for the grant's own lock
#pragma once

#include <memory>
#include <string>

#include "server/key_limiter.h"
#include "server/key_ring.h"

namespace weir {

struct Caller {
  std::shared_ptr<const ApiKey> key{};  // null: no key was asked for
  std::shared_ptr<KeyGrant> grant{};    // null: the key has no limits
  bool is_local = false;                // on this machine: it reaches a control listener on loopback

  RequestOwner owner() const { return key != nullptr ? key->owner : RequestOwner{}; }
};

}  // namespace weir
