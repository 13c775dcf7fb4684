#include "engine/grammar/unique_keys.h"

#include <algorithm>
#include <utility>

namespace weir {
namespace {

bool Contains(const std::vector<std::string>& keys, const std::string& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

// Lone halves of a pair too: what matters is that different texts stay different.
void AppendUtf8(uint32_t code, std::string* out) {
  const auto add = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  const auto tail = [&](int shift) { add(0x80 | ((code >> shift) & 0x3f)); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xc0 | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    add(0xe0 | (code >> 12));
    tail(6);
    tail(0);
  } else {
    add(0xf0 | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

uint32_t HexValue(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint32_t>(c - '0');
  return static_cast<uint32_t>((c | 0x20) - 'a') + 10;
}

char Unescaped(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return c;
  }
}

}  // namespace

void UniqueKeys::TakeInString(char c, Ahead* ahead) {
  Place& place = ahead->place;
  const auto flush = [&place] {
    if (place.high_surrogate != 0) AppendUtf8(std::exchange(place.high_surrogate, 0), &place.key);
  };
  if (place.hex_digits_left > 0) {
    place.unit = place.unit * 16 + HexValue(c);
    if (--place.hex_digits_left > 0) return;
    const bool is_low = place.unit >= 0xdc00 && place.unit < 0xe000;
    if (is_low && place.high_surrogate != 0) {
      const uint32_t high = std::exchange(place.high_surrogate, 0);
      AppendUtf8(0x10000 + ((high - 0xd800) << 10) + (place.unit - 0xdc00), &place.key);
      return;
    }
    flush();
    if (place.unit >= 0xd800 && place.unit < 0xdc00) {
      place.high_surrogate = place.unit;
    } else {
      AppendUtf8(place.unit, &place.key);
    }
    return;
  }
  if (place.escapes) {
    place.escapes = false;
    if (c == 'u') {
      place.hex_digits_left = 4;
      place.unit = 0;
      return;
    }
    flush();
    place.key.push_back(Unescaped(c));
    return;
  }
  if (c == '\\') {
    place.escapes = true;
    return;
  }
  flush();
  if (c != '"') place.key.push_back(c);
}

void UniqueKeys::EndKey(Ahead* ahead) const {
  std::string key = std::move(ahead->place.key);
  ahead->place.key.clear();
  if (!ahead->opened.empty()) {
    std::vector<std::string>& keys = ahead->opened.back().keys;
    ahead->repeats = ahead->repeats || Contains(keys, key);
    keys.push_back(std::move(key));
    return;
  }
  if (ahead->num_left == 0) return;
  ahead->repeats =
      ahead->repeats || Contains(open_[ahead->num_left - 1].keys, key) || Contains(ahead->keys, key);
  ahead->keys.push_back(std::move(key));
}

void UniqueKeys::Take(char c, Ahead* ahead) const {
  Place& place = ahead->place;
  if (place.in != In::kNothing) {
    const bool ends = c == '"' && !place.escapes && place.hex_digits_left == 0;
    if (place.in == In::kKey) {
      TakeInString(c, ahead);
      if (ends) EndKey(ahead);
    } else if (!ends) {
      // What a string says does not matter, only where it ends.
      place.escapes = !place.escapes && c == '\\';
    }
    if (ends) place.in = In::kNothing;
    return;
  }
  const auto is_in_object = [&] {
    if (!ahead->opened.empty()) return ahead->opened.back().is_object;
    return ahead->num_left > 0 && open_[ahead->num_left - 1].is_object;
  };
  switch (c) {
    case '"':
      place.in = place.expects_key ? In::kKey : In::kString;
      place.expects_key = false;
      break;
    case '{':
    case '[':
      ahead->opened.push_back({.is_object = c == '{'});
      place.expects_key = c == '{';
      break;
    case '}':
    case ']':
      place.expects_key = false;
      if (!ahead->opened.empty()) {
        ahead->opened.pop_back();
      } else if (ahead->num_left > 0) {
        --ahead->num_left;
        ahead->keys.clear();
      }
      break;
    case ',':
      place.expects_key = is_in_object();
      break;
    default:
      break;
  }
}

UniqueKeys::Ahead UniqueKeys::LookAhead(std::string_view text) const {
  Ahead ahead{.place = place_, .num_left = open_.size()};
  for (const char c : text) Take(c, &ahead);
  return ahead;
}

bool UniqueKeys::WouldRepeat(std::string_view text) const { return LookAhead(text).repeats; }

void UniqueKeys::Accept(std::string_view text) {
  Ahead ahead = LookAhead(text);
  place_ = std::move(ahead.place);
  open_.resize(ahead.num_left);
  for (std::string& key : ahead.keys) open_.back().keys.push_back(std::move(key));
  for (Open& opened : ahead.opened) open_.push_back(std::move(opened));
}

}  // namespace weir
