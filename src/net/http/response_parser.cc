#include "net/http/response_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "net/http/field_syntax.h"
#include "net/http/response_head.h"

namespace weir {

namespace {

constexpr size_t kMaxResponseHeadBytes = 64 << 10;
constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();
// Tokens arrive in small chunks with about 6 bytes of framing each, so framing is not held against the data here.
constexpr uint64_t kFramingAllowance = kNoLimit / 2;

}  // namespace

bool ResponseParser::Fail(std::string message) {
  message_ = std::move(message);
  state_ = State::kMalformed;
  return false;
}

ResponseParser::State ResponseParser::Feed(std::string_view bytes, const Sink& sink) {
  while (state_ == State::kHead && !bytes.empty()) {
    if (!TakeHead(bytes)) return state_;
    if (state_ != State::kHead && sink.on_head) sink.on_head();
  }
  if (state_ == State::kBody) TakeBody(bytes, sink);
  if (state_ == State::kComplete && !bytes.empty()) surplus_ = true;
  return state_;
}

// False: more bytes are needed, or the head is malformed.
bool ResponseParser::TakeHead(std::string_view& bytes) {
  const size_t old_size = head_.size();
  head_ += bytes.substr(0, kMaxResponseHeadBytes + 4 - std::min(kMaxResponseHeadBytes, old_size));
  const size_t end = head_.find("\r\n\r\n", old_size < 3 ? 0 : old_size - 3);
  if (end == std::string::npos) {
    if (head_.size() >= kMaxResponseHeadBytes) return Fail("the response head is longer than 64 KiB");
    constexpr std::string_view kBegin = "HTTP/1.";
    if (head_.compare(0, kBegin.size(), kBegin.substr(0, head_.size())) != 0) {
      return Fail(fmt::format("the response does not begin with HTTP/1.: {}", Quoted(head_)));
    }
    bytes = {};
    return false;
  }
  bytes.remove_prefix(end + 4 - old_size);
  const bool good = ReadHead(std::string_view(head_).substr(0, end));
  head_.clear();
  if (!good) return false;
  if (status_ < 200) {  // an interim response; the real one follows
    if (status_ == 101) return Fail("the server switched protocols, which was not asked for");
    headers_.clear();
    return true;
  }
  return DecideFraming();
}

bool ResponseParser::ReadHead(std::string_view head) {
  size_t end = head.find("\r\n");
  const std::string_view line = head.substr(0, end);
  const auto digit = [&](size_t i) { return line[i] >= '0' && line[i] <= '9'; };
  if (line.size() < 12 || !line.starts_with("HTTP/1.") || !digit(7) || line[8] != ' ' || !digit(9) ||
      !digit(10) || !digit(11) || (line.size() > 12 && line[12] != ' ') || line[9] == '0') {
    return Fail(fmt::format("the status line is malformed: {}", Quoted(line)));
  }
  minor_version_ = line[7] == '0' ? 0 : 1;
  status_ = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  while (end != std::string_view::npos) {
    head.remove_prefix(end + 2);
    end = head.find("\r\n");
    const std::string_view field = head.substr(0, end);
    const size_t colon = field.find(':');
    const std::string_view name = field.substr(0, colon);
    const std::string_view value =
        colon == std::string_view::npos ? std::string_view() : TrimBlanks(field.substr(colon + 1));
    if (colon == std::string_view::npos || !IsToken(name) || !IsFieldValue(value)) {
      return Fail(fmt::format("a response header is malformed: {}", Quoted(field)));
    }
    headers_.push_back({std::string(name), std::string(value)});
  }
  return true;
}

bool ResponseParser::DecideFraming() {
  std::optional<uint64_t> length;
  bool chunked = false;
  keep_alive_ = minor_version_ == 1;
  for (const HttpHeader& header : headers_) {
    if (EqualsIgnoreCase(header.name, "content-length")) {
      uint64_t value = 0;
      for (char c : header.value) {
        if (c < '0' || c > '9')
          return Fail(fmt::format("Content-Length {} is no number", Quoted(header.value)));
        value = value * 10 + static_cast<uint64_t>(c - '0');
      }
      if (header.value.empty() || header.value.size() > 18 || (length && *length != value)) {
        return Fail(fmt::format("Content-Length {} cannot be trusted", Quoted(header.value)));
      }
      length = value;
    } else if (EqualsIgnoreCase(header.name, "transfer-encoding")) {
      if (chunked || !EqualsIgnoreCase(header.value, "chunked")) {
        return Fail(fmt::format("Transfer-Encoding {} is not understood", Quoted(header.value)));
      }
      chunked = true;
    } else if (EqualsIgnoreCase(header.name, "connection")) {
      if (ListHasToken(header.value, "close")) {
        keep_alive_ = false;
      } else if (ListHasToken(header.value, "keep-alive")) {
        keep_alive_ = true;
      }
    }
  }
  if (chunked && length) return Fail("the response has both Transfer-Encoding and Content-Length");
  state_ = State::kBody;
  if (head_method_ || !StatusHasBody(status_) || (length && *length == 0)) {
    state_ = State::kComplete;
  } else if (chunked) {
    chunks_.emplace(kNoLimit, kFramingAllowance);
  } else if (length) {
    body_left_ = *length;
  } else {
    until_close_ = true;
    keep_alive_ = false;
  }
  return true;
}

void ResponseParser::TakeBody(std::string_view& bytes, const Sink& sink) {
  if (chunks_) {
    while (true) {
      std::string_view data;
      switch (chunks_->Next(bytes, data)) {
        case ChunkedBody::Event::kData:
          sink.on_body(data);
          continue;
        case ChunkedBody::Event::kNeedMore:
          return;
        case ChunkedBody::Event::kDone:
          state_ = State::kComplete;
          return;
        case ChunkedBody::Event::kError:
          Fail(fmt::format("the chunked body is malformed: {}", chunks_->message()));
          return;
      }
    }
  }
  const size_t count =
      until_close_ ? bytes.size() : static_cast<size_t>(std::min<uint64_t>(body_left_, bytes.size()));
  if (count > 0) sink.on_body(bytes.substr(0, count));
  bytes.remove_prefix(count);
  if (until_close_) return;
  body_left_ -= count;
  if (body_left_ == 0) state_ = State::kComplete;
}

bool ResponseParser::FinishAtEof() {
  if (state_ == State::kBody && until_close_) state_ = State::kComplete;
  return state_ == State::kComplete;
}

}  // namespace weir
