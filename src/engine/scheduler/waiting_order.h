// The order in which waiting sequences are served.
//
// Threads   pure function
//
// First those that were overtaken so often that nobody may pass them any more, then the preempted ones, whose
// readers already see a stream that stands still; both by arrival. Then the others by class and arrival.
#pragma once

#include <memory>

#include "engine/request/sequence.h"

namespace weir {

inline constexpr int kMaxOvertaken = 16;

inline bool IsAged(const Sequence& sequence) { return sequence.num_overtaken >= kMaxOvertaken; }

inline int ServiceRank(const Sequence& sequence) {
  if (IsAged(sequence)) return 0;
  return sequence.num_preemptions > 0 ? 1 : 2;
}

inline bool ServedBefore(const std::unique_ptr<Sequence>& a, const std::unique_ptr<Sequence>& b) {
  const int rank_a = ServiceRank(*a);
  const int rank_b = ServiceRank(*b);
  if (rank_a != rank_b) return rank_a < rank_b;
  if (rank_a == 2 && a->request.service_class != b->request.service_class)
    return a->request.service_class < b->request.service_class;
  return a->number < b->number;
}

}  // namespace weir
