// Reads one HTTP/1.1 response as its bytes arrive. No sockets.
//
// Requires  Feed() is not called again after kComplete or kMalformed
// Owns      the head while it is incomplete (at most 64 KiB); body bytes are passed through, not kept
// Errors    kMalformed with message()
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/chunked_body.h"
#include "net/http/server.h"

namespace weir {

class ResponseParser {
 public:
  enum class State { kHead, kBody, kComplete, kMalformed };
  struct Sink {
    std::function<void()> on_head;                  // status() and headers() are there
    std::function<void(std::string_view)> on_body;  // unframed
  };

  explicit ResponseParser(bool head_method) : head_method_(head_method) {}

  State Feed(std::string_view bytes, const Sink& sink);
  // The server closed. True: that is how this response ends.
  bool FinishAtEof();

  State state() const { return state_; }
  int status() const { return status_; }
  std::vector<HttpHeader>& headers() { return headers_; }
  const std::string& message() const { return message_; }
  // The connection can carry another request.
  bool reusable() const { return state_ == State::kComplete && keep_alive_ && !surplus_; }

 private:
  bool TakeHead(std::string_view& bytes);
  bool ReadHead(std::string_view head);
  bool DecideFraming();
  bool Fail(std::string message);
  void TakeBody(std::string_view& bytes, const Sink& sink);

  bool head_method_;
  State state_ = State::kHead;
  std::string head_;
  int status_ = 0;
  int minor_version_ = 1;
  std::vector<HttpHeader> headers_;
  std::optional<ChunkedBody> chunks_;
  bool until_close_ = false;
  uint64_t body_left_ = 0;
  bool keep_alive_ = true;
  bool surplus_ = false;
  std::string message_;
};

}  // namespace weir
