// Writes messages and chunks as bytes, through Boost.Beast.
//
// Requires  status 200..599
// Errors    none; a header whose name or value could break the framing, or is longer than 32 KiB, is left out
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/http/client.h"
#include "net/http/server.h"

namespace weir {

struct ResponseFraming {
  std::optional<uint64_t> content_length{};  // absent: chunked, or ended by close
  bool chunked = false;
  bool close = false;
  bool say_keep_alive = false;  // HTTP/1.0 needs it spelled out
  bool with_body = true;        // otherwise the head alone
};

// 204 and 304 get neither body nor length nor coding, whatever `framing` says.
void AppendResponse(HttpResponse response, const ResponseFraming& framing, std::string_view date,
                    std::string& out);
void AppendChunk(std::string_view data, std::string& out);  // `data` is not empty
void AppendLastChunk(std::string& out);
// `body` instead of the one in `request`.
std::string RequestBytes(const ClientRequest& request, std::string body, std::string_view host);

}  // namespace weir
