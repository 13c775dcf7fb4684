// Scans of one row of logits: its maximum, and which tokens are the k best, without sorting the vocabulary.
//
// Shapes    logits [vocab_size] f32
// Errors    none; an unsound row says so
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/kernels/row_maximum.h"

namespace weir {

RowMaximum FindMaximum(std::span<const float> logits);

// The k best in no order; 1 <= k <= vocab_size. `best` is scratch and result.
void SelectBest(std::span<const float> logits, int k, std::vector<Rank>* best);

}  // namespace weir
