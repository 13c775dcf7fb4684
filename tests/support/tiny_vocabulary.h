// The tiny model's 512 tokens and 253 merges.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weir {

struct TinyVocabulary {
  std::vector<std::string> tokens;  // in the alphabet of printable characters that byte-level BPE uses
  std::vector<int32_t> types;       // 1 normal, 3 control
  std::vector<std::string> merges;  // "left right", most frequent first
};

TinyVocabulary MakeTinyVocabulary();

}  // namespace weir
