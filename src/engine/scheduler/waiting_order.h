// The order in which waiting sequences are served.
//
// Threads   pure function
//
// First those that were overtaken so often that nobody may pass them any more, then the preempted ones, whose
// readers already see a stream that stands still; both by arrival. Then the others by first-token deadline and arrival:
// that is their order within a flow, and which flow goes next its counter decides.
#pragma once

#include <memory>

#include "engine/request/sequence.h"

namespace weir {

inline constexpr int kMaxOvertaken = 16;

inline bool IsAged(const Sequence& sequence) { return sequence.num_overtaken >= kMaxOvertaken; }

inline constexpr int kFreshRank = 2;

inline int ServiceRank(const Sequence& sequence) {
  if (IsAged(sequence)) return 0;
  return sequence.num_preemptions > 0 ? 1 : kFreshRank;
}

inline bool ServedBefore(const std::unique_ptr<Sequence>& a, const std::unique_ptr<Sequence>& b) {
  const int rank_a = ServiceRank(*a);
  const int rank_b = ServiceRank(*b);
  if (rank_a != rank_b) return rank_a < rank_b;
  if (rank_a == kFreshRank) {
    const TimePoint deadline_a = a->request.first_token_deadline.value_or(TimePoint::max());
    const TimePoint deadline_b = b->request.first_token_deadline.value_or(TimePoint::max());
    if (deadline_a != deadline_b) return deadline_a < deadline_b;
  }
  return a->number < b->number;
}

}  // namespace weir
