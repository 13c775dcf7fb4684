// How much of the machine each client has had, and so whose turn it is: a virtual token counter per flow, where a flow is
// what one owner asks for in one class.
//
// Units     cost: prompt tokens that were computed, an output token counting as several; counters: cost / weight
// Owns      the flows; a pointer to one is good from Enter() to the Leave() that matches it
// Errors    none
// Threads   engine thread only
//
// The flow with the smallest counter is served next, so all that have work waiting get shares in proportion to their
// weights, and none starves. Who comes back from idle starts at the smallest counter of those who are there: idleness is
// neither saved up nor held against anybody.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/request/request_owner.h"

namespace weir {

// 8, 4, 2 and 1, from interactive to sheddable.
double WeightOf(RequestClass service_class);

struct ServedFlow {
  double weight = 1;
  double counter = 0;
  double served = 0;      // cost, unweighted
  double reported = 0;    // of it, by TakeServed()
  int num_sequences = 0;  // that are here, waiting or running
  // The scheduler's, within one step: places of its waiting sequences, in their order.
  std::vector<size_t> waiting{};
  size_t next_waiting = 0;
};

class FairShares {
 public:
  static constexpr size_t kMaxFlows = 1024;  // beyond them idle flows are forgotten

  // A weight from a file must not make a counter stand still or jump, so it is held in 0.001 to a million.
  static double EffectiveWeight(const RequestOwner& owner, RequestClass service_class);

  ServedFlow* Enter(const RequestOwner& owner, RequestClass service_class);
  void Leave(ServedFlow* flow);
  void Charge(ServedFlow* flow, double cost);

  // Calls report(owner, cost) for what was served since the last call.
  template <typename Report>
  void TakeServed(const Report& report) {
    for (auto& [key, flow] : flows_) {
      if (flow.served == flow.reported) continue;
      report(key.first, flow.served - flow.reported);
      flow.reported = flow.served;
    }
  }
  // Of all classes of an owner; 0 when it is not known.
  double ServedCost(std::string_view owner) const;
  size_t num_flows() const { return flows_.size(); }

 private:
  double LeastActive() const;
  void ForgetIdle();

  std::map<std::pair<std::string, RequestClass>, ServedFlow, std::less<>> flows_;
  double floor_ = 0;  // what the last one to leave had, while nobody is here
};

}  // namespace weir
