// Stands before and behind Boost.Beast's reading of a request head, and refuses whatever two programs could read
// differently: Scan() judges the raw bytes and finds where the head ends, before Beast sees it; Judge() judges what Beast
// made of it, before anything else is done with it. No sockets.
//
// Units     sizes in bytes
// Requires  `bytes` of Scan() is the same request from its first byte, grown at the end since the last call
// Errors    GateError: the status, code and sentence of the one answer, after which the connection closes
// Source    docs/decisions/0002-http-gate.md
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/server.h"

namespace weir {

inline constexpr size_t kMaxHeadBytes = 16 << 10;
inline constexpr size_t kMaxRequestLineBytes = 8192;
inline constexpr size_t kMaxMethodBytes = 16;
inline constexpr int kMaxFields = 100;

struct GateError {
  int status = 400;
  std::string code = "bad_request";
  std::string message;
  std::vector<HttpHeader> headers;  // further ones of the answer: Allow, x-should-retry
};

struct GatedHead {
  HttpRequestHead head;
  bool expect_continue = false;
  bool keep_alive = true;
};

class HeadGate {
 public:
  enum class Scanned { kNeedMore, kComplete, kRefused };

  // Looks at the new bytes only.
  Scanned Scan(std::string_view bytes);
  // After kComplete: the head is bytes[0, head_size()), with its last CRLFCRLF.
  size_t head_size() const { return position_; }
  const GateError& error() const { return error_; }

  // `gated` comes as Beast split it, names and values as sent; Judge() adds path, query and expect_continue.
  static std::optional<GateError> Judge(GatedHead& gated);

 private:
  Scanned Refuse(int status, std::string_view code, std::string message);

  size_t position_ = 0;
  size_t line_start_ = 0;
  int lines_ = 0;  // complete ones, the request line included
  bool skipped_empty_ = false;
  bool after_return_ = false;
  bool method_done_ = false;
  GateError error_;
};

}  // namespace weir
