// Reads one HTTP/1.1 response as its bytes arrive. No sockets.
//
// Requires  Feed() is not called again after kComplete or kMalformed
// Owns      Boost.Beast's parser, and bytes that it cannot take yet: an incomplete head (at most 64 KiB) or element of the
//           chunk framing (16 KiB). Body bytes are passed on in the Feed() that brought them
// Errors    kMalformed with message()
// Source    docs/decisions/0002-http-gate.md
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/server.h"

namespace weir {

class ResponseParser {
 public:
  enum class State { kHead, kBody, kComplete, kMalformed };
  struct Sink {
    std::function<void()> on_head;                  // status() and headers() are there
    std::function<void(std::string_view)> on_body;  // unframed
  };

  explicit ResponseParser(bool head_method);
  ResponseParser(ResponseParser&&) noexcept;
  ResponseParser& operator=(ResponseParser&&) noexcept;
  ~ResponseParser();

  State Feed(std::string_view bytes, const Sink& sink);
  // The server closed. True: that is how this response ends.
  bool FinishAtEof();

  State state() const { return state_; }
  int status() const { return status_; }
  std::vector<HttpHeader>& headers() { return headers_; }
  const std::string& message() const { return message_; }
  // The connection can carry another request.
  bool reusable() const;

 private:
  struct Reader;

  bool TakeHead(std::string_view& bytes);
  bool Judge();
  void TakeBody(std::string_view bytes, const Sink& sink);
  bool Fail(std::string message);

  bool head_method_;
  State state_ = State::kHead;
  std::unique_ptr<Reader> reader_;
  std::string pending_;
  int status_ = 0;
  std::vector<HttpHeader> headers_;
  bool surplus_ = false;
  std::string message_;
};

}  // namespace weir
