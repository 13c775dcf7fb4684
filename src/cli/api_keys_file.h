// The keys of `weir serve`: a TOML file, and a single key from the environment.
//
// Errors    INVALID_ARGUMENT "FILE:LINE: what": a field that is unknown, of the wrong kind or out of range, keys that clash, or
//           a file that others can read
// Source    docs/OPERATIONS.md, "Keys"
//
//   [[keys]]
//   name = "chat"
//   sha256 = "9f86d0…"                 # or: key = "…", at least 16 characters
//   weight = 2.0                       # share of the machine, 0.01 to 100; 1
//   highest_class = "default"          # interactive (the default), default, batch, sheddable
//   expires = 2027-01-01T00:00:00Z     # or a date, at its beginning in UTC
//   trusted = true                     # a gateway; false
//   limits = { requests_per_minute = 600, tokens_per_minute = 100000, concurrent = 8 }
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/toml_file.h"
#include "server/key_ring.h"

namespace weir {

// `path` may be empty, and so may the key of the environment. Null: neither names a key.
Result<std::shared_ptr<const KeyRing>> ReadKeyRing(const std::string& path,
                                                   const std::string& environment_key);

// The entries of a parsed file.
Result<std::vector<ApiKey>> ParseApiKeys(const TomlFile& file);

}  // namespace weir
