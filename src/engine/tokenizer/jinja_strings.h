// Operations on text that filters and methods share. Every result keeps the marks of who wrote what.
//
// Errors    INVALID_ARGUMENT, reason "template_error", when a budget is spent
// Threads   any
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/tokenizer/jinja_heap.h"

namespace weir {

enum class TextSide { kBoth, kLeft, kRight };
// kTitle starts a word behind anything that is no letter, kWordTitle behind white space and opening brackets.
enum class TextCase { kUpper, kLower, kTitle, kWordTitle, kCapitalize, kSwap };

// What str.strip() and str.split() call white space.
bool IsPythonSpace(int32_t code_point);
// Where the character that ends at `end` begins.
size_t CharacterStart(std::string_view text, size_t end);
// Python's strip: white space without `characters`.
Result<JinjaText> StripText(const JinjaText& text, std::optional<std::string_view> characters, TextSide side,
                            JinjaHeap* heap);
Result<JinjaText> ChangeCase(const JinjaText& text, TextCase wanted, JinjaHeap* heap);
// `count` < 0 replaces all.
Result<JinjaText> ReplaceText(const JinjaText& text, std::string_view from, const JinjaText& to,
                              int64_t count, JinjaHeap* heap);
// At most `count` cuts, all when negative; at runs of white space when `separator` is empty.
Result<std::vector<JinjaText>> SplitText(const JinjaText& text, std::string_view separator, int64_t count,
                                         JinjaHeap* heap);
// The same from the right.
Result<std::vector<JinjaText>> SplitTextFromRight(const JinjaText& text, std::string_view separator,
                                                  int64_t count, JinjaHeap* heap);
// At line breaks of every kind, which are dropped unless they are to be kept.
Result<std::vector<JinjaText>> SplitTextLines(const JinjaText& text, bool keep_ends, JinjaHeap* heap);
Result<JinjaText> JoinText(const std::vector<JinjaText>& parts, const JinjaText& separator, JinjaHeap* heap);
Result<JinjaText> ConcatenateText(const JinjaText& a, const JinjaText& b, JinjaHeap* heap);
Result<JinjaText> RepeatText(const JinjaText& text, int64_t count, JinjaHeap* heap);
// Python's islower and isupper: some character has that case, and none another.
bool IsInCase(std::string_view text, bool upper);
// Python's isdigit, isdecimal, isalpha, isalnum, isspace: whether all characters are such, and there are some.
enum class TextKind { kDigit, kDecimal, kAlpha, kAlphanumeric, kSpace };
bool IsOfKind(std::string_view text, TextKind kind);
// Characters, not bytes.
int64_t CountCharacters(std::string_view text);
// Byte offset of every character and the end.
std::vector<size_t> CharacterOffsets(std::string_view text);

}  // namespace weir
