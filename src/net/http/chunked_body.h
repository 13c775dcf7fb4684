// Takes chunked framing off a body, piece by piece and without copying.
//
// Requires  input handed to Next() again continues where the last call left it
// Owns      a few counters; a piece of data points into the caller's input
// Errors    error() after kError: 400 for broken framing, 400 `chunk_overhead` when framing outgrows the data, 413 above
//           the body limit. Trailers are checked, counted and dropped
// Source    docs/decisions/0002-http-gate.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir {

class ChunkedBody {
 public:
  enum class Event { kNeedMore, kData, kDone, kError };
  enum class Error { kNone, kSyntax, kOverhead, kTooLarge };

  // Framing may take `framing_allowance` bytes beyond the number of data bytes so far.
  ChunkedBody(uint64_t max_body_bytes, uint64_t framing_allowance)
      : max_body_bytes_(max_body_bytes), framing_allowance_(framing_allowance) {}

  // Consumes from the front of `input`. After kData, `data` is one piece; call again. Bytes after kDone stay in `input`.
  Event Next(std::string_view& input, std::string_view& data);

  Error error() const { return error_; }
  std::string_view message() const { return message_; }
  uint64_t body_bytes() const { return body_bytes_; }

 private:
  enum class State {
    kSizeStart,
    kSize,
    kExtension,
    kSizeLineFeed,
    kData,
    kDataCarriageReturn,
    kDataLineFeed,
    kTrailerStart,
    kTrailerName,
    kTrailerValue,
    kTrailerLineFeed,
    kEndLineFeed,
    kDone,
  };

  bool TakeFramingByte(unsigned char byte);
  bool Fail(Error error, std::string_view message);

  uint64_t max_body_bytes_;
  uint64_t framing_allowance_;
  State state_ = State::kSizeStart;
  uint64_t chunk_left_ = 0;
  int size_digits_ = 0;
  uint64_t framing_bytes_ = 0;
  uint64_t body_bytes_ = 0;
  Error error_ = Error::kNone;
  std::string_view message_;
};

}  // namespace weir
