// Reads one request: the head that HeadGate let through, then its body as the bytes arrive. No sockets.
//
// Requires  ReadHead() first and once; TakeBody() only after it accepted the head
// Owns      Boost.Beast's parser, which alone decides where the request ends; no input
// Errors    GateError, after which the connection closes: 400 for what is malformed, 400 `chunk_overhead` when framing
//           outgrows the data, 413 above the body limit, and what HeadGate::Judge says
// Source    docs/decisions/0002-http-gate.md
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "net/http/head_gate.h"

namespace weir {

class RequestParser {
 public:
  explicit RequestParser(uint64_t max_body_bytes);
  RequestParser(RequestParser&&) noexcept;
  RequestParser& operator=(RequestParser&&) noexcept;
  ~RequestParser();

  // A complete head as HeadGate::Scan() delimited it.
  std::variant<GatedHead, GateError> ReadHead(std::string_view head);

  enum class Taken { kNeedMore, kDone, kError };
  // Consumes body bytes from the front of `input` and appends their data to `body`, unless that is null. What is left of
  // an incomplete element of the framing, at most 16 KiB, is to be given again with more. Trailers are dropped.
  Taken TakeBody(std::string_view& input, std::string* body);

  bool done() const;  // the last byte of the request was consumed
  uint64_t body_bytes() const;
  uint64_t body_left() const;  // of an announced length
  GateError error() const;     // after kError

 private:
  struct Reader;
  std::unique_ptr<Reader> reader_;
  uint64_t max_body_bytes_;
};

}  // namespace weir
