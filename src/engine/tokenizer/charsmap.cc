#include "engine/tokenizer/charsmap.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/utf8.h"

namespace weir {
namespace {

// Bounds how much longer than the text its rewriting can be. The longest in use has 33 bytes.
constexpr size_t kMaxReplacementBytes = 64;
// Graphemes up to here are replaced as a whole.
constexpr size_t kShortGraphemeBytes = 5;

bool IsContinuation(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; }

// A unit of the double array.
uint32_t OffsetOf(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
uint32_t LabelOf(uint32_t unit) { return unit & ((1u << 31) | 0xFF); }
bool HasLeaf(uint32_t unit) { return ((unit >> 8) & 1) != 0; }
uint32_t ValueOf(uint32_t unit) { return unit & ((1u << 31) - 1); }

Status Bad(const std::string& what) {
  return DataLoss(fmt::format("tokenizer.ggml.precompiled_charsmap {}. Fetch the file again", what));
}

}  // namespace

Result<Charsmap> Charsmap::Create(std::string bytes) {
  uint32_t trie_bytes = 0;
  if (bytes.size() < sizeof trie_bytes)
    return Bad(fmt::format("has {} bytes, expected a table", bytes.size()));
  std::memcpy(&trie_bytes, bytes.data(), sizeof trie_bytes);
  const size_t rest = bytes.size() - sizeof trie_bytes;
  if (trie_bytes == 0 || trie_bytes % sizeof(uint32_t) != 0 || trie_bytes > rest)
    return Bad(fmt::format("has a trie of {} bytes, expected a multiple of 4 up to {}", trie_bytes, rest));
  Charsmap map;
  map.units_.resize(trie_bytes / sizeof(uint32_t));
  std::memcpy(map.units_.data(), bytes.data() + sizeof trie_bytes, trie_bytes);
  map.replacements_ = bytes.substr(sizeof trie_bytes + trie_bytes);
  if (!IsValidUtf8(map.replacements_)) return Bad("has replacements that are not UTF-8");
  for (size_t begin = 0; begin < map.replacements_.size();) {
    const size_t end = std::min(map.replacements_.find('\0', begin), map.replacements_.size());
    if (end - begin > kMaxReplacementBytes)
      return Bad(fmt::format("has a replacement of {} bytes, at most {} are allowed", end - begin,
                             kMaxReplacementBytes));
    begin = end + 1;
  }
  map.FindAscii();
  return map;
}

void Charsmap::FindAscii() {
  for (size_t i = 1; i < ascii_.size(); ++i) {
    const char character = static_cast<char>(i);
    if (const auto found = Find(std::string_view(&character, 1), false); found.has_value())
      ascii_[i] = found->replacement;
  }
}

std::optional<std::string_view> Charsmap::ReplacementAt(uint32_t place) const {
  if (place >= replacements_.size() || IsContinuation(replacements_[place])) return std::nullopt;
  const size_t end = std::min(replacements_.find('\0', place), replacements_.size());
  return std::string_view(replacements_).substr(place, end - place);
}

std::optional<Charsmap::Found> Charsmap::Find(std::string_view text, bool longest) const {
  std::optional<Found> found;
  size_t place = OffsetOf(units_[0]);
  for (size_t i = 0; i < text.size() && text[i] != '\0';) {
    const auto byte = static_cast<uint8_t>(text[i]);
    place ^= byte;
    if (place >= units_.size() || LabelOf(units_[place]) != byte) break;
    const uint32_t unit = units_[place];
    place ^= OffsetOf(unit);
    ++i;
    if (!HasLeaf(unit) || place >= units_.size()) continue;
    if (i < text.size() && IsContinuation(text[i])) continue;
    const std::optional<std::string_view> replacement = ReplacementAt(ValueOf(units_[place]));
    if (!replacement.has_value()) continue;
    found = Found{i, *replacement};
    if (!longest) break;
  }
  return found;
}

void Charsmap::ApplyToGrapheme(std::string_view grapheme, std::string* out) const {
  if (grapheme.size() == 1) {
    const std::optional<std::string>& replacement = ascii_[static_cast<uint8_t>(grapheme[0]) & 127];
    *out += replacement.has_value() ? std::string_view(*replacement) : grapheme;
    return;
  }
  if (grapheme.size() <= kShortGraphemeBytes) {
    if (const auto found = Find(grapheme, false); found.has_value()) {
      *out += found->replacement;
      return;
    }
  }
  for (size_t position = 0; position < grapheme.size();) {
    const size_t begin = position;
    NextCodePoint(grapheme, &position);
    const std::string_view character = grapheme.substr(begin, position - begin);
    const auto found = Find(character, false);
    *out += found.has_value() ? found->replacement : character;
  }
}

std::string Charsmap::Apply(std::string_view text, Match match) const {
  std::string out;
  out.reserve(text.size());
  if (match == Match::kLongest) {
    for (size_t position = 0; position < text.size();) {
      const size_t begin = position;
      NextCodePoint(text, &position);
      const auto found = Find(text.substr(begin), true);
      if (found.has_value()) position = begin + found->bytes;
      out += found.has_value() ? found->replacement : text.substr(begin, position - begin);
    }
    return out;
  }
  size_t begin = 0;
  int32_t before = -1;
  int32_t state = 0;
  for (size_t position = 0; position < text.size();) {
    const size_t start = position;
    const int32_t code_point = NextCodePoint(text, &position);
    const bool plain = before >= ' ' && before < 127 && code_point >= ' ' && code_point < 127;
    if (plain) state = 0;
    if (before >= 0 && (plain || utf8proc_grapheme_break_stateful(before, code_point, &state))) {
      ApplyToGrapheme(text.substr(begin, start - begin), &out);
      begin = start;
    }
    before = code_point;
  }
  ApplyToGrapheme(text.substr(begin), &out);
  return out;
}

}  // namespace weir
