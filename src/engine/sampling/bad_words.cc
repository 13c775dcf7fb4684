#include "engine/sampling/bad_words.h"

#include <algorithm>

namespace weir {

void AppendBadWordEnds(std::span<const std::vector<int32_t>> words, std::span<const int32_t> output,
                       std::vector<int32_t>* forbidden) {
  for (const std::vector<int32_t>& word : words) {
    if (word.empty() || word.size() - 1 > output.size()) continue;
    if (std::equal(word.begin(), word.end() - 1, output.end() - static_cast<std::ptrdiff_t>(word.size() - 1)))
      forbidden->push_back(word.back());
  }
}

}  // namespace weir
