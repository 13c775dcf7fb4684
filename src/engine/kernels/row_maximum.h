// The best token of one row of logits, as the model finds it in passing and the sampler wants it.
//
// Errors    none; an unsound row says so
// Threads   plain values
#pragma once

#include <cstdint>

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

}  // namespace weir
