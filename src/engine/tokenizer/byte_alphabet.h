// The printable alphabet in which byte-level vocabularies spell bytes: "Ġthe" is the spelling of " the".
//
// Threads   any
// Source    docs/TOKENIZER.md, "Byte alphabet"
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir {

// The code point that stands for a byte.
int32_t ByteSpelling(uint8_t byte);
// Spelling to bytes. A text that leaves the alphabet is no spelling and comes back unchanged, as written.
std::string BytesOfSpelling(std::string_view spelling);
// Bytes to spelling, for vocabularies that tests write.
std::string SpellBytes(std::string_view bytes);

}  // namespace weir
