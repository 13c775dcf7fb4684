// Scans of one row of logits: its maximum, and which tokens are the k best, without sorting the vocabulary.
//
// Shapes    logits [vocab_size] f32
// Errors    none; an unsound row says so
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace weir {

// A token's place in the order of preference: higher logit first, then lower id. The order is total, so that
// "the k best" is one set, whatever the ties.
struct Rank {
  float logit = 0;
  int32_t token = 0;
};

inline bool Precedes(const Rank& a, const Rank& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

struct RowMaximum {
  bool sound = false;  // no NaN, no +infinity, and at least one finite value
  Rank best;
};
RowMaximum FindMaximum(std::span<const float> logits);

// The k best in no order; 1 <= k <= vocab_size. `best` is scratch and result.
void SelectBest(std::span<const float> logits, int k, std::vector<Rank>* best);

}  // namespace weir
