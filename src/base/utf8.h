// UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir {

// Code point that starts at text[*position], which moves behind it; -1 for an invalid byte, which is skipped
// alone.
int32_t NextCodePoint(std::string_view text, size_t* position);
bool IsValidUtf8(std::string_view text);
// Length of the longest prefix that ends on a character boundary: what a stream may already send.
size_t CompleteUtf8Prefix(std::string_view text);
void AppendUtf8(int32_t code_point, std::string* out);
// Every maximal invalid part becomes one U+FFFD (the WHATWG rule).
std::string ReplaceInvalidUtf8(std::string_view text);
// For messages: control bytes and invalid UTF-8 escaped, cut at `max_bytes`.
std::string QuoteForMessage(std::string_view text, size_t max_bytes = 64);

}  // namespace weir
