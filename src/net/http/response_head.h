// Writes the head of a response.
//
// Requires  status 200..599; a header whose name or value could break the framing is left out
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/http/server.h"

namespace weir {

struct ResponseFraming {
  std::optional<uint64_t> content_length;  // absent: chunked, or ended by close
  bool chunked = false;
  bool close = false;
  bool say_keep_alive = false;  // HTTP/1.0 needs it spelled out
};

// 204 and 304 get neither length nor coding, whatever `framing` says.
std::string ResponseHead(const HttpResponse& response, const ResponseFraming& framing, std::string_view date);
bool StatusHasBody(int status);

}  // namespace weir
