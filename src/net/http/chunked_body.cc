#include "net/http/chunked_body.h"

#include <algorithm>

#include "net/http/field_syntax.h"

namespace weir {

namespace {

// 15 hex digits cannot overflow 64 bits and are far above any body limit.
constexpr int kMaxSizeDigits = 15;

int HexValue(unsigned char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsControl(unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; }

}  // namespace

bool ChunkedBody::Fail(Error error, std::string_view message) {
  error_ = error;
  message_ = message;
  return false;
}

ChunkedBody::Event ChunkedBody::Next(std::string_view& input, std::string_view& data) {
  if (error_ != Error::kNone) return Event::kError;
  while (true) {
    if (state_ == State::kDone) return Event::kDone;
    if (input.empty()) return Event::kNeedMore;
    if (state_ == State::kData) {
      const auto count = static_cast<size_t>(std::min<uint64_t>(chunk_left_, input.size()));
      data = input.substr(0, count);
      input.remove_prefix(count);
      chunk_left_ -= count;
      body_bytes_ += count;
      if (chunk_left_ == 0) state_ = State::kDataCarriageReturn;
      return Event::kData;
    }
    const auto byte = static_cast<unsigned char>(input.front());
    input.remove_prefix(1);
    if (++framing_bytes_ > framing_allowance_ + body_bytes_) {
      Fail(Error::kOverhead, "the chunk framing is larger than 16 KiB plus the data; send larger chunks");
      return Event::kError;
    }
    if (!TakeFramingByte(byte)) return Event::kError;
  }
}

bool ChunkedBody::TakeFramingByte(unsigned char byte) {
  switch (state_) {
    case State::kSizeStart:
    case State::kSize: {
      const int digit = HexValue(byte);
      if (digit >= 0) {
        if (++size_digits_ > kMaxSizeDigits) {
          return Fail(Error::kSyntax, "a chunk size has more than 15 hex digits");
        }
        chunk_left_ = chunk_left_ * 16 + static_cast<uint64_t>(digit);
        state_ = State::kSize;
        return true;
      }
      if (state_ == State::kSizeStart || (byte != ';' && byte != '\r')) {
        return Fail(Error::kSyntax, "a chunk size must be hex digits, followed by CRLF or an extension");
      }
      // Judged on the number alone: no announced byte is waited for.
      if (chunk_left_ > max_body_bytes_ - std::min(max_body_bytes_, body_bytes_)) {
        return Fail(Error::kTooLarge, "the chunks add up to more than the body limit");
      }
      state_ = byte == ';' ? State::kExtension : State::kSizeLineFeed;
      return true;
    }
    case State::kExtension:
      if (byte == '\r') {
        state_ = State::kSizeLineFeed;
        return true;
      }
      return IsControl(byte) ? Fail(Error::kSyntax, "a chunk extension contains a control byte") : true;
    case State::kSizeLineFeed:
      if (byte != '\n') return Fail(Error::kSyntax, "a chunk size line must end in CRLF, found a bare CR");
      state_ = chunk_left_ == 0 ? State::kTrailerStart : State::kData;
      size_digits_ = 0;
      return true;
    case State::kDataCarriageReturn:
      if (byte != '\r') return Fail(Error::kSyntax, "chunk data must be followed by CRLF");
      state_ = State::kDataLineFeed;
      return true;
    case State::kDataLineFeed:
      if (byte != '\n') return Fail(Error::kSyntax, "chunk data must be followed by CRLF, found a bare CR");
      state_ = State::kSizeStart;
      return true;
    case State::kTrailerStart:
      if (byte == '\r') {
        state_ = State::kEndLineFeed;
        return true;
      }
      state_ = State::kTrailerName;
      return IsTokenChar(byte) ? true : Fail(Error::kSyntax, "a trailer field must begin with its name");
    case State::kTrailerName:
      if (byte == ':') {
        state_ = State::kTrailerValue;
        return true;
      }
      return IsTokenChar(byte) ? true : Fail(Error::kSyntax, "a trailer field must be name, colon, value");
    case State::kTrailerValue:
      if (byte == '\r') {
        state_ = State::kTrailerLineFeed;
        return true;
      }
      return IsControl(byte) ? Fail(Error::kSyntax, "a trailer value contains a control byte") : true;
    case State::kTrailerLineFeed:
      if (byte != '\n') return Fail(Error::kSyntax, "a trailer must end in CRLF, found a bare CR");
      state_ = State::kTrailerStart;
      return true;
    case State::kEndLineFeed:
      if (byte != '\n') return Fail(Error::kSyntax, "the body must end in CRLF, found a bare CR");
      state_ = State::kDone;
      return true;
    case State::kData:
    case State::kDone:
      break;
  }
  return Fail(Error::kSyntax, "chunk framing out of place");
}

}  // namespace weir
