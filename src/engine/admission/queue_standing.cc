#include "engine/admission/queue_standing.h"

#include <algorithm>

namespace weir {

double QueueShareOf(RequestClass service_class) {
  switch (service_class) {
    case RequestClass::kInteractive:
      return 1.0;
    case RequestClass::kDefault:
      return 0.9;
    case RequestClass::kBatch:
      return 0.5;
    case RequestClass::kSheddable:
      return 0.25;
  }
  return 0.25;
}

QueueStanding StandingOf(std::span<const QueuedFlow> flows, size_t own, bool is_retry) {
  const QueuedFlow& mine = flows[own];
  const int lowest = static_cast<int>(RequestClass::kSheddable);
  const int counted_class = std::min(lowest, static_cast<int>(mine.service_class) + (is_retry ? 1 : 0));
  QueueStanding standing{.share = QueueShareOf(static_cast<RequestClass>(counted_class))};
  double sequences = mine.num_sequences;
  double tokens = static_cast<double>(mine.tokens);
  for (size_t i = 0; i < flows.size(); ++i) {
    if (i == own) continue;
    const double turns = flows[i].weight / mine.weight;
    sequences += std::min<double>(flows[i].num_sequences, mine.num_sequences * turns);
    tokens +=
        std::min<double>(static_cast<double>(flows[i].tokens), static_cast<double>(mine.tokens) * turns);
  }
  standing.num_ahead = static_cast<int>(sequences);
  standing.tokens_ahead = static_cast<int64_t>(tokens);
  return standing;
}

int FlowToEvict(std::span<const QueuedFlow> flows, size_t own) {
  double weights = 0;
  int total = 1;  // the newcomer
  for (size_t i = 0; i < flows.size(); ++i) {
    const int staying = flows[i].num_sequences - flows[i].num_evicting;
    if (staying <= 0 && i != own) continue;
    weights += flows[i].weight;
    total += staying;
  }
  const auto share = [&](const QueuedFlow& flow) { return total * flow.weight / weights; };
  const QueuedFlow& mine = flows[own];
  if (mine.num_sequences - mine.num_evicting + 1 > share(mine)) return -1;
  int victim = -1;
  double most = 0;
  for (size_t i = 0; i < flows.size(); ++i) {
    if (i == own || flows[i].service_class < mine.service_class) continue;
    const double excess =
        (flows[i].num_sequences - flows[i].num_evicting - share(flows[i])) / flows[i].weight;
    if (excess <= most) continue;
    most = excess;
    victim = static_cast<int>(i);
  }
  return victim;
}

}  // namespace weir
