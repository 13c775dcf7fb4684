// Which tokens would complete a sequence that the output must not hold.
//
// Errors    none
// Threads   any
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace weir {

// Appends the last token of every word whose other tokens end `output`. Empty words forbid nothing.
void AppendBadWordEnds(std::span<const std::vector<int32_t>> words, std::span<const int32_t> output,
                       std::vector<int32_t>* forbidden);

}  // namespace weir
