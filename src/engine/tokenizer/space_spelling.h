// How SentencePiece vocabularies spell a space: as U+2581.
//
// Threads   pure functions
#pragma once

#include <string>
#include <string_view>

namespace weir {

inline constexpr std::string_view kSpelledSpace = "\xE2\x96\x81";

std::string SpellSpaces(std::string_view text);
std::string SpacesOfSpelling(std::string_view spelling);

}  // namespace weir
