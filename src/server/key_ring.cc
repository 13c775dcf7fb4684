#include "server/key_ring.h"

#include <fmt/format.h>

#include <cstring>
#include <string>
#include <utility>

#include "base/rng.h"

namespace weir {
namespace {

// The same for one key across reloads, so that a reload keeps its cached prefixes; another in every process.
uint64_t SaltOf(const Sha256Digest& digest) {
  static const std::string secret = fmt::format("{:016x}{:016x}", RandomSeed(), RandomSeed());
  const Sha256Digest mixed =
      Sha256Bytes(secret + std::string(reinterpret_cast<const char*>(digest.data()), digest.size()));
  uint64_t salt = 0;
  std::memcpy(&salt, mixed.data(), sizeof salt);
  return salt | 1;  // never 0, which is the salt without keys
}

}  // namespace

Status CheckKeys(const std::vector<ApiKey>& keys) {
  if (keys.empty())
    return InvalidArgument("there is no key; a server that asks for one would refuse everybody");
  for (size_t i = 0; i < keys.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (keys[i].owner.name == keys[j].owner.name)
        return InvalidArgument(fmt::format("keys {} and {} are both named '{}'; give each a name of its own",
                                           j + 1, i + 1, keys[i].owner.name));
      if (keys[i].digest == keys[j].digest)
        return InvalidArgument(fmt::format("'{}' and '{}' are the same key; remove one", keys[j].owner.name,
                                           keys[i].owner.name));
    }
  }
  return OkStatus();
}

KeyRing::KeyRing(std::vector<ApiKey> keys) : keys_(std::move(keys)) {
  for (ApiKey& key : keys_) key.owner.salt = SaltOf(key.digest);
}

const ApiKey* KeyRing::Find(std::string_view presented, std::chrono::system_clock::time_point now) const {
  const Sha256Digest digest = Sha256Bytes(presented);
  size_t found = 0;  // its number from 1
  for (size_t i = 0; i < keys_.size(); ++i) {
    const size_t same = SameDigest(digest, keys_[i].digest) ? 1 : 0;
    found |= (size_t{0} - same) & (i + 1);
  }
  if (found == 0) return nullptr;
  const ApiKey& key = keys_[found - 1];
  return key.expires.has_value() && now >= *key.expires ? nullptr : &key;
}

}  // namespace weir
