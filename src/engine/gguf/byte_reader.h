// A cursor over bytes from a stranger: every read says whether the bytes were there.
//
// Owns      nothing; what it hands out points into the bytes it was given
// Errors    a read past the end returns false and moves nothing
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace weir {

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }

  template <typename T>
  [[nodiscard]] bool Read(T* out) {
    if (remaining() < sizeof(T)) return false;
    std::memcpy(out, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return true;
  }
  [[nodiscard]] bool Take(uint64_t count, std::span<const std::byte>* out) {
    if (remaining() < count) return false;
    *out = bytes_.subspan(offset_, count);
    offset_ += count;
    return true;
  }
  // A string as GGUF writes it: a 64-bit length, then the bytes.
  [[nodiscard]] bool TakeString(std::string_view* out) {
    uint64_t length;
    if (remaining() < sizeof(length)) return false;
    std::memcpy(&length, bytes_.data() + offset_, sizeof(length));
    if (length > remaining() - sizeof(length)) return false;
    *out = {reinterpret_cast<const char*>(bytes_.data() + offset_ + sizeof(length)), length};
    offset_ += sizeof(length) + length;
    return true;
  }

 private:
  std::span<const std::byte> bytes_;
  uint64_t offset_ = 0;
};

}  // namespace weir
