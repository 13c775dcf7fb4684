#include "server/ledger_ring.h"

#include <algorithm>
#include <utility>

namespace weir {

uint64_t LedgerRing::Add(ClosedRequest request) {
  MutexLock lock(mutex_);
  request.number = ++last_;
  if (records_.size() < capacity_) {
    records_.push_back(std::move(request));
  } else {
    records_[(last_ - 1) % capacity_] = std::move(request);
  }
  return last_;
}

std::optional<ClosedRequest> LedgerRing::Find(std::string_view id, const std::string* owner) const {
  MutexLock lock(mutex_);
  for (uint64_t i = 0; i < records_.size(); ++i) {
    const ClosedRequest& one = At(last_ - i);
    if (one.id == id && (owner == nullptr || one.owner == *owner)) return one;
  }
  return std::nullopt;
}

std::vector<ClosedRequest> LedgerRing::After(uint64_t since, size_t limit) const {
  MutexLock lock(mutex_);
  std::vector<ClosedRequest> out;
  if (since >= last_) return out;
  const uint64_t oldest = last_ - records_.size() + 1;
  for (uint64_t number = std::max(oldest, since + 1); number <= last_ && out.size() < limit; ++number) {
    out.push_back(At(number));
  }
  return out;
}

}  // namespace weir
