// Names of requests and responses.
#pragma once

#include <string>
#include <string_view>

#include "net/http/server.h"

namespace weir {

// 24 random hexadecimal digits after a prefix.
std::string MakeId(std::string_view prefix);
// The client's X-Request-Id when it is 1 to 64 of [A-Za-z0-9._-]; a new one otherwise.
std::string RequestIdOf(const HttpRequestHead& head);

}  // namespace weir
