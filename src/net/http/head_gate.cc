#include "net/http/head_gate.h"

#include <fmt/format.h>

#include "net/http/field_syntax.h"

namespace weir {

HeadGate::Scanned HeadGate::Refuse(int status, std::string_view code, std::string message) {
  error_.status = status;
  error_.code = code;
  error_.message = std::move(message);
  return Scanned::kRefused;
}

HeadGate::Scanned HeadGate::Scan(std::string_view bytes) {
  for (; position_ < bytes.size(); ++position_) {
    const auto byte = static_cast<unsigned char>(bytes[position_]);
    if (position_ >= kMaxHeadBytes) {
      return Refuse(431, "headers_too_large",
                    "the request head is longer than 16384 bytes; send fewer or shorter headers");
    }
    if (after_return_ != (byte == '\n')) {
      return Refuse(400, "bad_request",
                    fmt::format("byte {} of the request head: every line must end in CRLF, found a bare {}",
                                position_, after_return_ ? "CR" : "LF"));
    }
    if (byte == '\r') {
      after_return_ = true;
      continue;
    }
    if (byte == '\n') {
      after_return_ = false;
      const size_t line_size = position_ - 1 - line_start_;
      line_start_ = position_ + 1;
      if (line_size > 0) {
        ++lines_;
        method_done_ = true;
        continue;
      }
      if (lines_ > 0) {
        ++position_;
        return Scanned::kComplete;
      }
      if (skipped_empty_)
        return Refuse(400, "bad_request", "more than one empty line before the request line");
      skipped_empty_ = true;
      continue;
    }
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
      return Refuse(400, "bad_request",
                    fmt::format("byte {} of the request head is the control byte 0x{:02x}", position_, byte));
    }
    const size_t column = position_ - line_start_;
    if (lines_ > kMaxFields) {
      return Refuse(431, "headers_too_large",
                    fmt::format("the request has more than {} header fields", kMaxFields));
    }
    if (lines_ > 0) {
      if (column == 0 && (byte == ' ' || byte == '\t'))
        return Refuse(400, "bad_request", "a header field is folded over two lines");
      continue;
    }
    if (!method_done_) {
      if (byte == ' ' && column > 0) {
        method_done_ = true;
      } else if (!IsTokenChar(byte)) {
        return Refuse(400, "bad_request",
                      fmt::format("the request line must begin with a method; byte {} is {}", position_,
                                  Quoted(bytes.substr(position_, 1))));
      } else if (column >= kMaxMethodBytes) {
        Refuse(501, "not_implemented",
               fmt::format("unknown method {}", Quoted(bytes.substr(line_start_, kMaxMethodBytes))));
        error_.headers.push_back({"x-should-retry", "false"});
        return Scanned::kRefused;
      }
    }
    if (column >= kMaxRequestLineBytes) {
      return Refuse(414, "uri_too_long",
                    fmt::format("the request line is longer than {} bytes", kMaxRequestLineBytes));
    }
  }
  return Scanned::kNeedMore;
}

}  // namespace weir
