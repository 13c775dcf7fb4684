#include "engine/tokenizer/jinja_strings.h"

#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "engine/tokenizer/char_class.h"

namespace weir {
namespace {

bool StartsWord(int32_t code_point) {
  return code_point == '-' || code_point == '(' || code_point == '{' || code_point == '[' ||
         code_point == '<' || IsPythonSpace(code_point);
}

enum class Cased { kNone, kUpper, kLower, kTitle };

// Unicode's properties Uppercase and Lowercase: letters with a case, and what merely looks like one.
Cased CasedOf(int32_t code_point) {
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_LU:
      return Cased::kUpper;
    case UTF8PROC_CATEGORY_LL:
      return Cased::kLower;
    case UTF8PROC_CATEGORY_LT:
      return Cased::kTitle;
    default:
      break;
  }
  constexpr std::pair<int32_t, int32_t> kOthers[] = {
      {0xAA, 0xAA},       {0xBA, 0xBA},       {0x2B0, 0x2B8},    {0x2C0, 0x2C1},   {0x2E0, 0x2E4},
      {0x345, 0x345},     {0x37A, 0x37A},     {0x1D2C, 0x1D6A},  {0x1D78, 0x1D78}, {0x1D9B, 0x1DBF},
      {0x2071, 0x2071},   {0x207F, 0x207F},   {0x2090, 0x209C},  {0x2160, 0x217F}, {0x24B6, 0x24E9},
      {0x2C7C, 0x2C7D},   {0xA69C, 0xA69D},   {0xA770, 0xA770},  {0xA7F8, 0xA7F9}, {0xAB5C, 0xAB5F},
      {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}};
  const bool looks = std::any_of(std::begin(kOthers), std::end(kOthers), [&](const auto& range) {
    return code_point >= range.first && code_point <= range.second;
  });
  if (!looks) return Cased::kNone;
  const bool upper = (code_point >= 0x2160 && code_point <= 0x216F) ||
                     (code_point >= 0x24B6 && code_point <= 0x24CF) || code_point >= 0x1F130;
  return upper ? Cased::kUpper : Cased::kLower;
}

bool IsCased(int32_t code_point) { return CasedOf(code_point) != Cased::kNone; }

// Unicode's property Case_Ignorable: what stands between letters without ending a word.
bool IsCaseIgnorable(int32_t code_point) {
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      break;
  }
  constexpr int32_t kMarks[] = {0x27,   0x2E,   0x3A,   0xB7,   0x387,  0x55F,  0x5F4,  0x2018, 0x2019,
                                0x2024, 0x2027, 0xFE13, 0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
  return std::find(std::begin(kMarks), std::end(kMarks), code_point) != std::end(kMarks);
}

// Whether the sigma at [start, end) is the last letter of its word, which is written differently.
bool IsFinalSigma(std::string_view text, size_t start, size_t end) {
  int32_t before = 0;
  while (start > 0) {
    start = CharacterStart(text, start);
    size_t next = start;
    before = NextCodePoint(text, &next);
    if (!IsCaseIgnorable(before)) break;
    before = 0;
  }
  int32_t after = 0;
  while (end < text.size()) {
    after = NextCodePoint(text, &end);
    if (!IsCaseIgnorable(after)) break;
    after = 0;
  }
  return IsCased(before) && !IsCased(after);
}

// Digits that no number is written with, such as superscripts: Unicode's Numeric_Type=Digit.
bool IsOtherDigit(int32_t code_point) {
  constexpr std::pair<int32_t, int32_t> kRanges[] = {
      {0xB2, 0xB3},     {0xB9, 0xB9},       {0x1369, 0x1371},   {0x19DA, 0x19DA},   {0x2070, 0x2070},
      {0x2074, 0x2079}, {0x2080, 0x2089},   {0x2460, 0x2468},   {0x2474, 0x247C},   {0x2488, 0x2490},
      {0x24EA, 0x24EA}, {0x24F5, 0x24FD},   {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},
      {0x278A, 0x2792}, {0x10A40, 0x10A43}, {0x10E60, 0x10E68}, {0x11052, 0x1105A}, {0x1F100, 0x1F10A}};
  return std::any_of(std::begin(kRanges), std::end(kRanges), [&](const auto& range) {
    return code_point >= range.first && code_point <= range.second;
  });
}

// One character in another case, which can be several: the long forms of U+FB01 and its kind are those of their folding.
void AppendCased(int32_t code_point, bool upper, bool as_title, std::string* out) {
  if (code_point == 0x130 && !upper) {
    *out += "i\xCC\x87";
    return;
  }
  if (!upper) return AppendUtf8(utf8proc_tolower(code_point), out);
  const int32_t other = as_title ? utf8proc_totitle(code_point) : utf8proc_toupper(code_point);
  int32_t parts[4];
  int boundary = 0;
  if (code_point != 0xDF && (other != code_point || utf8proc_category(code_point) != UTF8PROC_CATEGORY_LL))
    return AppendUtf8(other, out);
  const auto count = utf8proc_decompose_char(code_point, parts, 4, UTF8PROC_CASEFOLD, &boundary);
  if (count < 2 || count > 4) return AppendUtf8(other, out);
  for (int i = 0; i < count; ++i)
    AppendUtf8(i == 0 || !as_title ? utf8proc_toupper(parts[i]) : parts[i], out);
}

}  // namespace

bool IsPythonSpace(int32_t code_point) {
  return (code_point >= 0x1C && code_point <= 0x1F) || ClassOf(code_point) == CharClass::kSpace;
}

size_t CharacterStart(std::string_view text, size_t end) {
  size_t start = end - 1;
  while (start > 0 && (static_cast<uint8_t>(text[start]) & 0xC0) == 0x80) --start;
  return start;
}

Result<JinjaText> StripText(const JinjaText& text, std::optional<std::string_view> characters, TextSide side,
                            JinjaHeap* heap) {
  const std::string_view all = text.str();
  const auto strips = [&](size_t position, size_t bytes) {
    if (!characters.has_value()) {
      size_t next = position;
      return IsPythonSpace(NextCodePoint(all, &next));
    }
    return characters->find(all.substr(position, bytes)) != std::string_view::npos;
  };
  size_t begin = 0;
  size_t end = all.size();
  while (side != TextSide::kRight && begin < end) {
    size_t next = begin;
    NextCodePoint(all, &next);
    if (!strips(begin, next - begin)) break;
    begin = next;
  }
  while (side != TextSide::kLeft && begin < end) {
    const size_t start = CharacterStart(all, end);
    if (!strips(start, end - start)) break;
    end = start;
  }
  WEIR_RETURN_IF_ERROR(heap->SpendOnCharacters(all.size() - (end - begin)));
  WEIR_RETURN_IF_ERROR(heap->SpendOnBytes(all.size()));
  return text.Substr(begin, end - begin);
}

Result<JinjaText> ChangeCase(const JinjaText& text, TextCase wanted, JinjaHeap* heap) {
  WEIR_RETURN_IF_ERROR(heap->SpendOnCharacters(text.size()));
  JinjaText out;
  bool at_start = true;   // of a word for titles, of the text for capitals
  size_t rest_begin = 0;  // behind the character that was last at a start
  size_t position = 0;
  for (const JinjaText::Run& run : text.runs()) {
    std::string changed;
    for (const size_t end = position + run.bytes; position < end;) {
      const size_t start = position;
      const int32_t code_point = NextCodePoint(text.str(), &position);
      if (at_start) rest_begin = position;
      const bool lowers = wanted == TextCase::kLower || wanted == TextCase::kSwap || !at_start;
      if (code_point == 0x3A3 && wanted != TextCase::kUpper && lowers) {
        at_start = false;
        // The filter "title" looks at a word's letters after the first by themselves.
        const size_t begin = wanted == TextCase::kWordTitle ? rest_begin : 0;
        const std::string_view seen = std::string_view(text.str()).substr(begin);
        AppendUtf8(IsFinalSigma(seen, start - begin, position - begin) ? 0x3C2 : 0x3C3, &changed);
        continue;
      }
      if (wanted == TextCase::kSwap) {
        const Cased cased = CasedOf(code_point);
        if (cased == Cased::kUpper || cased == Cased::kLower) {
          AppendCased(code_point, cased == Cased::kLower, false, &changed);
        } else {
          AppendUtf8(code_point, &changed);
        }
        continue;
      }
      const bool upper = wanted == TextCase::kUpper || (wanted != TextCase::kLower && at_start);
      AppendCased(code_point, upper, wanted == TextCase::kTitle || wanted == TextCase::kCapitalize, &changed);
      at_start = (wanted == TextCase::kTitle && !IsCased(code_point)) ||
                 (wanted == TextCase::kWordTitle && StartsWord(code_point));
    }
    out.Append(changed, run.from_template);
  }
  return out;
}

Result<JinjaText> ReplaceText(const JinjaText& text, std::string_view from, const JinjaText& to,
                              int64_t count, JinjaHeap* heap) {
  if (from.empty()) return JinjaError("replace() needs a text to look for");
  std::vector<size_t> places;
  for (size_t at = text.str().find(from); at != std::string::npos;
       at = text.str().find(from, at + from.size())) {
    if (count >= 0 && std::cmp_equal(places.size(), count)) break;
    places.push_back(at);
  }
  WEIR_RETURN_IF_ERROR(heap->SpendOnBytes(text.size()));
  WEIR_RETURN_IF_ERROR(heap->Spend(places.size() / 2));
  WEIR_RETURN_IF_ERROR(
      heap->Room(text.footprint() + places.size() * (to.footprint() + 2 * sizeof(JinjaText::Run))));
  JinjaText out;
  size_t run_begin = 0;
  size_t next_place = 0;
  size_t position = 0;
  // One pass over the runs, because cutting each part out of the whole would look at all runs for each.
  for (const JinjaText::Run& run : text.runs()) {
    const size_t run_end = run_begin + run.bytes;
    while (position < run_end) {
      const bool more = next_place < places.size();
      const size_t stop = more ? std::min(run_end, places[next_place]) : run_end;
      out.Append(std::string_view(text.str()).substr(position, stop - position), run.from_template);
      position = std::max(position, stop);
      if (!more || stop != places[next_place] || position >= run_end) break;
      out.Append(to);
      position += from.size();
      ++next_place;
    }
    run_begin = run_end;
  }
  return out;
}

Result<JinjaText> JoinText(const std::vector<JinjaText>& parts, const JinjaText& separator, JinjaHeap* heap) {
  uint64_t bytes = parts.size() * separator.footprint();
  for (const JinjaText& part : parts) bytes += part.footprint();
  WEIR_RETURN_IF_ERROR(heap->Room(bytes));
  JinjaText out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out.Append(separator);
    out.Append(parts[i]);
  }
  return out;
}

Result<JinjaText> ConcatenateText(const JinjaText& a, const JinjaText& b, JinjaHeap* heap) {
  WEIR_RETURN_IF_ERROR(heap->Room(a.footprint() + b.footprint()));
  JinjaText out = a;
  out.Append(b);
  return out;
}

Result<JinjaText> RepeatText(const JinjaText& text, int64_t count, JinjaHeap* heap) {
  if (count <= 0 || text.empty()) return JinjaText();
  const uint64_t room = JinjaBudget::kMaxLiveBytes / text.footprint();
  WEIR_RETURN_IF_ERROR(heap->Room(std::cmp_greater(count, room)
                                      ? JinjaBudget::kMaxLiveBytes + 1
                                      : text.footprint() * static_cast<uint64_t>(count)));
  WEIR_RETURN_IF_ERROR(heap->Spend(static_cast<uint64_t>(count) / 16));
  JinjaText out;
  for (int64_t i = 0; i < count; ++i) out.Append(text);
  return out;
}

bool IsInCase(std::string_view text, bool upper) {
  bool found = false;
  for (size_t position = 0; position < text.size();) {
    const Cased cased = CasedOf(NextCodePoint(text, &position));
    if (cased == Cased::kNone) continue;
    if (cased != (upper ? Cased::kUpper : Cased::kLower)) return false;
    found = true;
  }
  return found;
}

bool IsOfKind(std::string_view text, TextKind kind) {
  for (size_t position = 0; position < text.size();) {
    const int32_t code_point = NextCodePoint(text, &position);
    const auto category = utf8proc_category(code_point);
    const bool decimal = category == UTF8PROC_CATEGORY_ND;
    const bool alpha = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
    const bool numeric = category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
    const bool passes = kind == TextKind::kDecimal ? decimal
                        : kind == TextKind::kDigit ? decimal || IsOtherDigit(code_point)
                        : kind == TextKind::kAlpha ? alpha
                        : kind == TextKind::kSpace ? IsPythonSpace(code_point)
                                                   : alpha || numeric;
    if (!passes) return false;
  }
  return !text.empty();
}

int64_t CountCharacters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char byte) { return (static_cast<uint8_t>(byte) & 0xC0) != 0x80; });
}

std::vector<size_t> CharacterOffsets(std::string_view text) {
  std::vector<size_t> offsets;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<uint8_t>(text[i]) & 0xC0) != 0x80) offsets.push_back(i);
  }
  offsets.push_back(text.size());
  return offsets;
}

}  // namespace weir
