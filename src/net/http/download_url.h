// What of a URL decides where a token may go.
//
// Errors    INVALID_ARGUMENT for a URL that is malformed, of another scheme, or holds a password
#pragma once

#include <string>

#include "base/result.h"

namespace weir {

struct DownloadUrl {
  std::string scheme;  // http, https or file
  std::string host;    // lower case
  std::string port;
  std::string path;   // decoded
  std::string shown;  // without query and fragment, which may hold a secret

  static Result<DownloadUrl> Parse(const std::string& text);
  bool SameOrigin(const DownloadUrl& other) const {
    return scheme == other.scheme && host == other.host && port == other.port;
  }
  bool is_loopback() const;
};

}  // namespace weir
