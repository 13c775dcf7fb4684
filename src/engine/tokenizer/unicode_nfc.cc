#include "engine/tokenizer/unicode_nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "base/utf8.h"

namespace weir {
namespace {

int CombiningClass(int32_t code_point) { return utf8proc_get_property(code_point)->combining_class; }

// A character decomposes into at most 4, so this never has to grow.
constexpr int kMaxParts = 16;

}  // namespace

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string ComposeUtf8(std::string_view text) {
  std::vector<int32_t> points;
  points.reserve(text.size());
  for (size_t position = 0; position < text.size();) {
    const int32_t code_point = NextCodePoint(text, &position);
    int32_t parts[kMaxParts];
    int boundary = 0;
    const utf8proc_ssize_t count = utf8proc_decompose_char(
        code_point, parts, kMaxParts, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE),
        &boundary);
    if (count < 1 || count > kMaxParts) {
      points.push_back(code_point);
      continue;
    }
    points.insert(points.end(), parts, parts + count);
  }
  for (auto first = points.begin(); first != points.end();) {
    if (CombiningClass(*first) == 0) {
      ++first;
      continue;
    }
    const auto last =
        std::find_if(first, points.end(), [](int32_t point) { return CombiningClass(point) == 0; });
    std::stable_sort(first, last, [](int32_t a, int32_t b) { return CombiningClass(a) < CombiningClass(b); });
    first = last;
  }
  const utf8proc_ssize_t size =
      utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (size < 0) return std::string(text);
  std::string out;
  out.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < size; ++i) AppendUtf8(points[static_cast<size_t>(i)], &out);
  return out;
}

}  // namespace weir
