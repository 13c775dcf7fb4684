#include "base/utf8.h"

#include <fmt/format.h>

namespace weir {
namespace {

// Bytes of a sequence as far as they are valid: `length` > 0 when complete, else `consumed` bytes form a
// broken prefix.
struct Decoded {
  int32_t code_point = -1;
  size_t consumed = 1;
  bool truncated = false;  // the text ended where more bytes could have made it valid
};

Decoded Decode(std::string_view text, size_t position) {
  Decoded out;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[position + i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) {
    out.code_point = first;
    return out;
  }
  int length = 0;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return out;
  }
  int32_t code_point = first & (0xFF >> (length + 1));
  for (int i = 1; i < length; ++i) {
    if (position + i >= text.size()) {
      out.truncated = true;
      out.consumed = i;
      return out;
    }
    if (byte(i) < low || byte(i) > high) {
      out.consumed = i;
      return out;
    }
    code_point = (code_point << 6) | (byte(i) & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  out.code_point = code_point;
  out.consumed = length;
  return out;
}

}  // namespace

int32_t NextCodePoint(std::string_view text, size_t* position) {
  const Decoded decoded = Decode(text, *position);
  *position += decoded.code_point < 0 ? 1 : decoded.consumed;
  return decoded.code_point;
}

bool IsValidUtf8(std::string_view text) {
  for (size_t position = 0; position < text.size();) {
    if (NextCodePoint(text, &position) < 0) return false;
  }
  return true;
}

size_t CompleteUtf8Prefix(std::string_view text) {
  // Only the last three bytes can belong to an unfinished character.
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const size_t position = text.size() - back;
    if ((static_cast<uint8_t>(text[position]) & 0xC0) == 0x80) continue;
    return Decode(text, position).truncated ? position : text.size();
  }
  return text.size();
}

void AppendUtf8(int32_t code_point, std::string* out) {
  if (code_point < 0x80) {
    out->push_back(static_cast<char>(code_point));
  } else if (code_point < 0x800) {
    out->push_back(static_cast<char>(0xC0 | (code_point >> 6)));
    out->push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
  } else if (code_point < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | (code_point >> 12)));
    out->push_back(static_cast<char>(0x80 | ((code_point >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | (code_point >> 18)));
    out->push_back(static_cast<char>(0x80 | ((code_point >> 12) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | ((code_point >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
  }
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t position = 0; position < text.size();) {
    const Decoded decoded = Decode(text, position);
    if (decoded.code_point < 0) {
      out += "\xEF\xBF\xBD";
    } else {
      out.append(text.substr(position, decoded.consumed));
    }
    position += decoded.consumed;
  }
  return out;
}

std::string QuoteForMessage(std::string_view text, size_t max_bytes) {
  std::string out;
  for (size_t position = 0; position < text.size();) {
    if (out.size() >= max_bytes) return out + "...";
    const size_t start = position;
    const int32_t code_point = NextCodePoint(text, &position);
    if (code_point < 0x20 || code_point == 0x7F || code_point == '"' || code_point == '\\') {
      for (size_t i = start; i < position; ++i)
        out += fmt::format("\\x{:02x}", static_cast<uint8_t>(text[i]));
    } else {
      out.append(text.substr(start, position - start));
    }
  }
  return out;
}

}  // namespace weir
