// On whose behalf a request runs: what the scheduler may know of an API key. Never the key.
//
// Threads   immutable
//
// Without keys every request has the same owner: the empty name, weight 1, salt 0.
#pragma once

#include <cstdint>
#include <string>

namespace weir {

// From the first to be served to the first to be shed.
enum class RequestClass { kInteractive, kDefault, kBatch, kSheddable };

struct RequestOwner {
  std::string name;   // of the key, chosen by the operator
  double weight = 1;  // share of the machine against other owners
  RequestClass highest_class = RequestClass::kInteractive;
  // Of the prefix cache: owners with different salts share no block. Secret, so that nobody can compute a block's hash.
  uint64_t salt = 0;
  bool trusted = false;  // a gateway: may name the owner of a request itself
};

}  // namespace weir
