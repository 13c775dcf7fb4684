// Text cut into parts.
#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "engine/tokenizer/jinja_strings.h"

namespace weir {

Result<std::vector<JinjaText>> SplitTextLines(const JinjaText& text, bool keep_ends, JinjaHeap* heap) {
  WEIR_RETURN_IF_ERROR(heap->SpendOnCharacters(text.size()));
  std::vector<JinjaText> lines;
  size_t begin = 0;
  for (size_t position = 0; position < text.size();) {
    const size_t end = position;
    const int32_t code_point = NextCodePoint(text.str(), &position);
    const bool breaks = (code_point >= 0x0A && code_point <= 0x0D) ||
                        (code_point >= 0x1C && code_point <= 0x1E) || code_point == 0x85 ||
                        code_point == 0x2028 || code_point == 0x2029;
    if (!breaks) continue;
    if (code_point == '\r' && position < text.size() && text.str()[position] == '\n') ++position;
    WEIR_RETURN_IF_ERROR(heap->Spend(1 + text.runs().size() / 16));
    lines.push_back(text.Substr(begin, (keep_ends ? position : end) - begin));
    begin = position;
  }
  if (begin < text.size()) lines.push_back(text.Substr(begin));
  return lines;
}

Result<std::vector<JinjaText>> SplitText(const JinjaText& text, std::string_view separator, int64_t count,
                                         JinjaHeap* heap) {
  std::vector<JinjaText> parts;
  const std::string_view all = text.str();
  // Each part looks through the runs before it, and costs an object.
  const uint64_t part_steps = 2 + text.runs().size() / 16;
  uint64_t part_bytes = 0;
  const auto add = [&](size_t begin, size_t end) -> Status {
    WEIR_RETURN_IF_ERROR(heap->Spend(part_steps));
    part_bytes += sizeof(JinjaText) + (end - begin) + sizeof(JinjaText::Run);
    WEIR_RETURN_IF_ERROR(heap->Room(part_bytes));
    parts.push_back(text.Substr(begin, end - begin));
    return OkStatus();
  };
  const auto full = [&] { return count >= 0 && std::cmp_greater_equal(parts.size(), count); };
  WEIR_RETURN_IF_ERROR(separator.empty() ? heap->SpendOnCharacters(all.size())
                                         : heap->SpendOnBytes(all.size()));
  if (!separator.empty()) {
    size_t begin = 0;
    for (size_t at = all.find(separator); at != std::string_view::npos && !full();
         at = all.find(separator, begin)) {
      WEIR_RETURN_IF_ERROR(add(begin, at));
      begin = at + separator.size();
    }
    WEIR_RETURN_IF_ERROR(add(begin, all.size()));
    return parts;
  }
  size_t word = std::string_view::npos;
  for (size_t position = 0; position < all.size();) {
    const size_t start = position;
    if (IsPythonSpace(NextCodePoint(all, &position))) {
      if (word != std::string_view::npos) WEIR_RETURN_IF_ERROR(add(word, start));
      word = std::string_view::npos;
    } else if (word == std::string_view::npos) {
      word = start;
      if (!full()) continue;
      WEIR_ASSIGN_OR_RETURN(JinjaText last,
                            StripText(text.Substr(word), std::nullopt, TextSide::kRight, heap));
      parts.push_back(std::move(last));
      return parts;
    }
  }
  if (word != std::string_view::npos) WEIR_RETURN_IF_ERROR(add(word, all.size()));
  return parts;
}

Result<std::vector<JinjaText>> SplitTextFromRight(const JinjaText& text, std::string_view separator,
                                                  int64_t count, JinjaHeap* heap) {
  // White space leaves nothing to choose between the sides, unless the cuts are counted.
  if (separator.empty() && count < 0) return SplitText(text, separator, count, heap);
  std::vector<JinjaText> parts;
  const std::string_view all = text.str();
  uint64_t part_bytes = 0;
  const auto add = [&](size_t begin, size_t end) -> Status {
    WEIR_RETURN_IF_ERROR(heap->Spend(2 + text.runs().size() / 16));
    part_bytes += sizeof(JinjaText) + (end - begin) + sizeof(JinjaText::Run);
    WEIR_RETURN_IF_ERROR(heap->Room(part_bytes));
    parts.push_back(text.Substr(begin, end - begin));
    return OkStatus();
  };
  const auto full = [&] { return count >= 0 && std::cmp_greater_equal(parts.size(), count); };
  WEIR_RETURN_IF_ERROR(heap->SpendOnCharacters(all.size()));
  size_t end = all.size();
  if (!separator.empty()) {
    while (!full() && end >= separator.size()) {
      const size_t at = all.rfind(separator, end - separator.size());
      if (at == std::string_view::npos) break;
      WEIR_RETURN_IF_ERROR(add(at + separator.size(), end));
      end = at;
    }
    WEIR_RETURN_IF_ERROR(add(0, end));
  } else {
    const auto is_space = [&](size_t start) { return IsPythonSpace(NextCodePoint(all, &start)); };
    while (true) {
      while (end > 0 && is_space(CharacterStart(all, end))) end = CharacterStart(all, end);
      if (end == 0) break;
      size_t begin = full() ? 0 : end;
      while (begin > 0 && !is_space(CharacterStart(all, begin))) begin = CharacterStart(all, begin);
      WEIR_RETURN_IF_ERROR(add(begin, end));
      end = begin;
    }
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

}  // namespace weir
