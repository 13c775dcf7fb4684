// Boost.Beast's parser of one message, with what it leaves to its user: start line and fields are kept, body data is passed
// on from where it lies, chunk framing is counted and bounded, and trailers are dropped. Only parsers include this.
//
// Requires  ReadHead() gets the complete head and is called once; TakeBody() gets what it left in `input` again, with more
// Owns      start line and fields; nothing of the body
// Errors    error_code of ReadHead; failure() and message() after TakeBody returned false, for good
// Source    docs/decisions/0002-http-gate.md
#pragma once

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/optional/optional.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/field_syntax.h"
#include "net/http/server.h"

namespace weir {

template <bool kIsRequest>
class MessageReader : public boost::beast::http::basic_parser<kIsRequest> {
  using Base = boost::beast::http::basic_parser<kIsRequest>;
  using ErrorCode = boost::beast::error_code;
  using StringView = boost::beast::string_view;
  using Error = boost::beast::http::error;

 public:
  enum class Failure { kNone, kSyntax, kOverhead, kTooLarge };
  using Sink = std::function<void(std::string_view)>;

  // One size line, and all trailers together, may take this much: Beast consumes each only when it is complete.
  static constexpr size_t kMaxElementBytes = 16 << 10;

  // All framing together may take `framing_allowance` bytes beyond the number of data bytes so far.
  MessageReader(uint32_t max_head_bytes, uint64_t framing_allowance) : framing_allowance_(framing_allowance) {
    this->header_limit(max_head_bytes);
    this->body_limit(boost::none);  // RequestParser sets it once the head is judged
  }

  // Returns the bytes consumed; after an error, the line at fault begins there.
  size_t ReadHead(std::string_view head, ErrorCode& error) {
    fields.reserve(16);
    const size_t count = this->put(boost::asio::const_buffer(head.data(), head.size()), error);
    if (!error && (count != head.size() || !this->is_header_done())) error = Error::partial_message;
    return count;
  }

  // Consumes from the front of `input` up to the end of the message, or of the last element that is complete.
  bool TakeBody(std::string_view& input, const Sink& sink) {
    sink_ = &sink;
    while (failure_ == Failure::kNone && !this->is_done() && !input.empty()) {
      const bool framing = this->chunked() && chunk_left_ == 0;
      element_ = input.data();
      ErrorCode error;
      const size_t count = this->put(boost::asio::const_buffer(input.data(), input.size()), error);
      const std::string_view element = input.substr(0, error == Error::need_more ? input.size() : count);
      if (framing && (!error || error == Error::need_more)) CountFraming(element, error);
      input.remove_prefix(count);
      if (error == Error::need_more) break;
      if (error) Fail(error);
    }
    return failure_ == Failure::kNone;
  }

  Failure failure() const { return failure_; }
  const std::string& message() const { return message_; }
  uint64_t body_bytes() const { return body_bytes_; }

  std::string method;
  std::string target;
  int status = 0;
  int version = 11;  // or 10
  std::vector<HttpHeader> fields;

 private:
  // 15 digits are far above any body limit; more of them can only be padding.
  static constexpr ptrdiff_t kMaxSizeDigits = 15;

  void Fail(const ErrorCode& error) {
    failure_ = error == Error::body_limit ? Failure::kTooLarge : Failure::kSyntax;
    message_ = fmt::format("the body is malformed after {} bytes of data: {}", body_bytes_, error.message());
  }

  void CountFraming(std::string_view element, const ErrorCode& error) {
    const uint64_t total = framing_bytes_ + element.size();
    if (!error) framing_bytes_ = total;
    if (element.size() > kMaxElementBytes || total > framing_allowance_ + body_bytes_) {
      failure_ = Failure::kOverhead;
      message_ = "the chunk framing is larger than 16 KiB plus the data; send larger chunks";
    } else if (this->is_done() &&
               (element.find("\r\n ") != element.npos || element.find("\r\n\t") != element.npos)) {
      // Beast would join the lines. No line of a size or an extension can begin with a blank.
      failure_ = Failure::kSyntax;
      message_ = "a trailer field is folded over two lines";
    }
  }

  size_t Pass(StringView data) {
    body_bytes_ += data.size();
    (*sink_)(std::string_view(data.data(), data.size()));
    return data.size();
  }

  void on_request_impl(boost::beast::http::verb, StringView method_text, StringView target_text,
                       int version_number, ErrorCode&) override {
    method = method_text;
    target = target_text;
    version = version_number;
  }
  void on_response_impl(int code, StringView, int version_number, ErrorCode&) override {
    status = code;
    version = version_number;
  }
  void on_field_impl(boost::beast::http::field, StringView name, StringView value, ErrorCode&) override {
    if (!head_done_) fields.push_back({std::string(name), std::string(value)});
  }
  void on_header_impl(ErrorCode&) override { head_done_ = true; }
  void on_body_init_impl(const boost::optional<uint64_t>&, ErrorCode&) override {}
  size_t on_body_impl(StringView data, ErrorCode&) override { return Pass(data); }
  void on_chunk_header_impl(uint64_t size, StringView extensions, ErrorCode& error) override {
    const ptrdiff_t digits = extensions.data() - element_ - (had_chunk_ ? 2 : 0);
    if (digits > kMaxSizeDigits) {
      error = Error::bad_chunk;
    } else if (!IsFieldValue(extensions)) {  // Beast takes any byte between quotes, a line feed too
      error = Error::bad_chunk_extension;
    }
    chunk_left_ = size;
    had_chunk_ = true;
  }
  size_t on_chunk_body_impl(uint64_t, StringView data, ErrorCode&) override {
    chunk_left_ -= data.size();
    return Pass(data);
  }
  void on_finish_impl(ErrorCode&) override {}

  uint64_t framing_allowance_;
  bool head_done_ = false;
  const Sink* sink_ = nullptr;
  const char* element_ = nullptr;  // where the element begins that is being parsed
  bool had_chunk_ = false;         // the CRLF after its data belongs to the next size line
  uint64_t chunk_left_ = 0;
  uint64_t framing_bytes_ = 0;
  uint64_t body_bytes_ = 0;
  Failure failure_ = Failure::kNone;
  std::string message_;
};

}  // namespace weir
