#include "engine/scheduler/fair_shares.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace weir {
namespace {

constexpr double kLeastWeight = 1e-3;
constexpr double kMostWeight = 1e6;

}  // namespace

double WeightOf(RequestClass service_class) {
  switch (service_class) {
    case RequestClass::kInteractive:
      return 8;
    case RequestClass::kDefault:
      return 4;
    case RequestClass::kBatch:
      return 2;
    case RequestClass::kSheddable:
      return 1;
  }
  return 1;
}

double FairShares::EffectiveWeight(const RequestOwner& owner, RequestClass service_class) {
  const double weight = owner.weight >= kLeastWeight ? std::min(kMostWeight, owner.weight) : kLeastWeight;
  return weight * WeightOf(service_class);
}

ServedFlow* FairShares::Enter(const RequestOwner& owner, RequestClass service_class) {
  auto found = flows_.find(std::pair(owner.name, service_class));
  if (found == flows_.end()) {
    if (flows_.size() >= kMaxFlows) ForgetIdle();
    found = flows_.emplace(std::pair(owner.name, service_class), ServedFlow{}).first;
  }
  ServedFlow& flow = found->second;
  if (flow.num_sequences == 0) flow.counter = std::max(flow.counter, LeastActive());
  // The newest wins, because weights may change while the server runs.
  flow.weight = EffectiveWeight(owner, service_class);
  ++flow.num_sequences;
  return &flow;
}

void FairShares::Leave(ServedFlow* flow) {
  DCHECK(flow->num_sequences > 0);
  if (--flow->num_sequences == 0) floor_ = std::max(floor_, flow->counter);
}

void FairShares::Charge(ServedFlow* flow, double cost) {
  flow->served += cost;
  flow->counter += cost / flow->weight;
}

double FairShares::LeastActive() const {
  double least = std::numeric_limits<double>::infinity();
  for (const auto& [name, flow] : flows_) {
    if (flow.num_sequences > 0) least = std::min(least, flow.counter);
  }
  return least < std::numeric_limits<double>::infinity() ? least : floor_;
}

// First those that lose nothing by it, because they would be lifted anyway; then the others' debts.
void FairShares::ForgetIdle() {
  const double least = LeastActive();
  std::erase_if(flows_, [&](const auto& item) {
    return item.second.num_sequences == 0 && item.second.counter <= least;
  });
  if (flows_.size() < kMaxFlows) return;
  std::erase_if(flows_, [](const auto& item) { return item.second.num_sequences == 0; });
}

double FairShares::ServedCost(std::string_view owner) const {
  double sum = 0;
  for (const auto& [name, flow] : flows_) sum += name.first == owner ? flow.served : 0;
  return sum;
}

}  // namespace weir
