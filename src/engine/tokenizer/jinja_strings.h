// Operations on text that filters and methods share. Every result keeps the marks of who wrote what.
//
// Errors    INVALID_ARGUMENT, reason "template_error", when a budget is spent
// Threads   any
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/tokenizer/jinja_heap.h"

namespace weir {

enum class TextSide { kBoth, kLeft, kRight };
// kTitle starts a word behind anything that is no letter, kWordTitle behind white space and opening brackets.
enum class TextCase { kUpper, kLower, kTitle, kWordTitle, kCapitalize };

// Python's strip: white space when `characters` is empty.
Result<JinjaText> StripText(const JinjaText& text, std::string_view characters, TextSide side,
                            JinjaHeap* heap);
Result<JinjaText> ChangeCase(const JinjaText& text, TextCase wanted, JinjaHeap* heap);
// `count` < 0 replaces all.
Result<JinjaText> ReplaceText(const JinjaText& text, std::string_view from, const JinjaText& to,
                              int64_t count, JinjaHeap* heap);
// At most `count` cuts, all when negative; at runs of white space when `separator` is empty.
Result<std::vector<JinjaText>> SplitText(const JinjaText& text, std::string_view separator, int64_t count,
                                         JinjaHeap* heap);
// At line breaks of every kind, which are dropped.
Result<std::vector<JinjaText>> SplitTextLines(const JinjaText& text, JinjaHeap* heap);
Result<JinjaText> JoinText(const std::vector<JinjaText>& parts, const JinjaText& separator, JinjaHeap* heap);
Result<JinjaText> ConcatenateText(const JinjaText& a, const JinjaText& b, JinjaHeap* heap);
Result<JinjaText> RepeatText(const JinjaText& text, int64_t count, JinjaHeap* heap);
// Characters, not bytes.
int64_t CountCharacters(std::string_view text);
// Byte offset of every character and the end.
std::vector<size_t> CharacterOffsets(std::string_view text);

}  // namespace weir
