#include "net/http/request_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "net/http/field_syntax.h"
#include "net/http/message_reader.h"

namespace weir {

namespace {

constexpr uint64_t kFramingAllowance = 16 << 10;

GateError Bad(std::string message) { return {400, "bad_request", std::move(message), {}}; }

GateError TooLarge(std::string message) { return {413, "request_too_large", std::move(message), {}}; }

std::string_view FirstLine(std::string_view text) { return text.substr(0, text.find("\r\n")); }

// The digits of the HTTP/x.y at the end of a request line; null when it ends otherwise.
const char* VersionDigits(std::string_view line) {
  const std::string_view version = line.substr(line.rfind(' ') + 1);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const bool found = version.size() == 8 && version.starts_with("HTTP/") && is_digit(version[5]) &&
                     version[6] == '.' && is_digit(version[7]);
  return found ? version.data() + 5 : nullptr;
}

}  // namespace

struct RequestParser::Reader : MessageReader<true> {
  Reader() : MessageReader(kMaxHeadBytes, kFramingAllowance) {}

  uint64_t announced = 0;  // by Content-Length
};

RequestParser::RequestParser(uint64_t max_body_bytes)
    : reader_(std::make_unique<Reader>()), max_body_bytes_(max_body_bytes) {}
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;
RequestParser::~RequestParser() = default;

std::variant<GatedHead, GateError> RequestParser::ReadHead(std::string_view bytes) {
  if (bytes.starts_with("\r\n")) bytes.remove_prefix(2);
  std::string lowered;
  if (const char* digits = VersionDigits(FirstLine(bytes))) {
    if (digits[0] != '1') {
      return GateError{505,
                       "http_version",
                       fmt::format("only HTTP/1.1 and HTTP/1.0 are spoken here, found HTTP/{}",
                                   std::string_view(digits, 3)),
                       {{"x-should-retry", "false"}}};
    }
    if (digits[2] > '1') {  // a higher minor version is served as 1.1, which Beast leaves to its user
      lowered = bytes;
      lowered[static_cast<size_t>(digits + 2 - bytes.data())] = '1';
      bytes = lowered;
    }
  }
  boost::beast::error_code error;
  const size_t count = reader_->ReadHead(bytes, error);
  if (error) {
    return Bad(fmt::format("the request head is malformed: {} in the line {}", error.message(),
                           Quoted(FirstLine(bytes.substr(count)))));
  }
  GatedHead gated;
  HttpRequestHead& head = gated.head;
  head.method = std::move(reader_->method);
  head.target = std::move(reader_->target);
  head.minor_version = reader_->version % 10;
  head.headers = std::move(reader_->fields);
  head.chunked = reader_->chunked();
  if (const auto length = reader_->content_length()) head.content_length = *length;
  gated.keep_alive = reader_->keep_alive();
  if (auto refusal = HeadGate::Judge(gated)) return *std::move(refusal);
  if (head.content_length.value_or(0) > max_body_bytes_) {
    return TooLarge(
        fmt::format("the body has {} bytes, the limit is {}", *head.content_length, max_body_bytes_));
  }
  reader_->announced = head.content_length.value_or(0);
  reader_->body_limit(max_body_bytes_);
  return gated;
}

RequestParser::Taken RequestParser::TakeBody(std::string_view& input, std::string* body) {
  const bool sound = reader_->TakeBody(input, [body](std::string_view data) {
    if (body != nullptr) *body += data;
  });
  if (!sound) return Taken::kError;
  return done() ? Taken::kDone : Taken::kNeedMore;
}

bool RequestParser::done() const { return reader_->is_done(); }

uint64_t RequestParser::body_bytes() const { return reader_->body_bytes(); }

uint64_t RequestParser::body_left() const {
  return reader_->announced - std::min(reader_->announced, reader_->body_bytes());
}

GateError RequestParser::error() const {
  switch (reader_->failure()) {
    case Reader::Failure::kTooLarge:
      return TooLarge(fmt::format("the body is larger than {} bytes", max_body_bytes_));
    case Reader::Failure::kOverhead:
      return {400, "chunk_overhead", reader_->message(), {}};
    default:
      return Bad(reader_->message());
  }
}

}  // namespace weir
