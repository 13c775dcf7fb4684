// Unicode's composed normal form (NFC), which some vocabularies were trained on.
//
// Requires  valid UTF-8
// Threads   a pure function
//
// Linear but for sorting the marks of one character, n log n: the library's own sort is quadratic in them, and a text may
// be a megabyte of marks.
#pragma once

#include <string>
#include <string_view>

namespace weir {

bool IsAscii(std::string_view text);
std::string ComposeUtf8(std::string_view text);

}  // namespace weir
