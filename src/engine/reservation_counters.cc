#include "engine/reservation_counters.h"

#include "base/check.h"
#include "engine/scheduler/fair_shares.h"

namespace weir {

std::vector<QueuedFlow> Reservation::Counters::FlowsWith(const Applicant& applicant,
                                                         std::vector<Flow*>* which) const {
  std::vector<QueuedFlow> out;
  QueuedFlow own{.service_class = applicant.service_class,
                 .weight = FairShares::EffectiveWeight(applicant.owner, applicant.service_class)};
  for (const auto& [key, flow] : flows) {
    if (key.first == applicant.owner.name && key.second == applicant.service_class) {
      own.num_sequences = flow.queued.num_sequences;
      own.tokens = flow.queued.tokens;
      own.num_evicting = flow.queued.num_evicting;
      continue;
    }
    out.push_back(flow.queued);
    if (which != nullptr) which->push_back(const_cast<Flow*>(&flow));
  }
  out.push_back(own);
  return out;
}

QueueStanding Reservation::Counters::StandingOf(const Applicant& applicant) const {
  const std::vector<QueuedFlow> all = FlowsWith(applicant, nullptr);
  QueueStanding standing = weir::StandingOf(all, all.size() - 1, applicant.is_retry);
  // Who was preempted goes first, whosever it is.
  standing.num_ahead += published.num_waiting;
  return standing;
}

bool Reservation::Counters::MakeRoom(const Applicant& applicant) {
  std::vector<Flow*> which;
  const std::vector<QueuedFlow> all = FlowsWith(applicant, &which);
  const int victim = FlowToEvict(all, all.size() - 1);
  if (victim < 0) return false;
  ++which[victim]->queued.num_evicting;
  ++num_evicting;
  return true;
}

Reservation::Flow* Reservation::Counters::Join(const Applicant& applicant, int num_sequences_of_it,
                                               int64_t tokens_of_it) {
  Flow& flow = flows[Key(applicant.owner.name, applicant.service_class)];
  if (flow.num_reservations++ == 0) {
    flow.owner = applicant.owner.name;
    flow.queued.service_class = applicant.service_class;
  }
  flow.queued.weight = FairShares::EffectiveWeight(applicant.owner, applicant.service_class);
  flow.queued.num_sequences += num_sequences_of_it;
  flow.queued.tokens += tokens_of_it;
  num_sequences += num_sequences_of_it;
  tokens += tokens_of_it;
  return &flow;
}

void Reservation::Counters::Leave(Flow* flow, int num_sequences_of_it, int64_t tokens_of_it) {
  num_sequences -= num_sequences_of_it;
  tokens -= tokens_of_it;
  flow->queued.num_sequences -= num_sequences_of_it;
  flow->queued.tokens -= tokens_of_it;
  if (--flow->num_reservations > 0) return;
  DCHECK(flow->queued.num_sequences == 0 && flow->queued.tokens == 0);
  num_evicting -= flow->queued.num_evicting;
  flows.erase(flows.find(Key(flow->owner, flow->queued.service_class)));
}

}  // namespace weir
