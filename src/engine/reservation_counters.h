// What admission counts: live reservations, by whose they are, and the load the engine published last.
//
// Threads   any; one short lock, so that a test against the bounds and the counting of its outcome are one
// step
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "engine/admission/queue_standing.h"
#include "engine/engine.h"

namespace weir {

// All reservations of one owner in one class.
struct Reservation::Flow {
  std::string owner;
  QueuedFlow queued;
  int num_reservations = 0;
};

struct Reservation::Counters {
  using Key = std::pair<std::string, RequestClass>;

  mutable Mutex mutex;
  int num_sequences GUARDED_BY(mutex) = 0;
  int64_t tokens GUARDED_BY(mutex) = 0;
  int num_evicting GUARDED_BY(mutex) = 0;  // of all flows
  LoadSnapshot published GUARDED_BY(mutex);
  RetryLine refused GUARDED_BY(mutex);
  std::map<std::string, double, std::less<>> served_cost GUARDED_BY(mutex);  // of owners with a name
  TimePoint step_ends GUARDED_BY(mutex){};  // by its prediction; of the step that runs
  int64_t tokens_in_step GUARDED_BY(mutex) = 0;
  std::map<Key, Flow> flows GUARDED_BY(mutex);  // those with a reservation

  // The published load plus what was promised and does not run yet.
  LoadSnapshot Load(TimePoint now) const REQUIRES(mutex) {
    LoadSnapshot load = published;
    load.num_waiting += num_sequences;
    load.queued_tokens += tokens;
    load.rest_of_step = std::max(0.0, ToSeconds(step_ends - now));
    load.tokens_in_step = tokens_in_step;
    load.most_of_late = Fade(published.most_of_late, now - published.at);
    return load;
  }
  QueueStanding StandingOf(const Applicant& applicant) const REQUIRES(mutex);
  // Of a full queue: tells somebody of another flow to leave, who has more than its share. False: nobody has.
  bool MakeRoom(const Applicant& applicant) REQUIRES(mutex);
  // Takes a reservation into the account of its flow, and out of it.
  Flow* Join(const Applicant& applicant, int num_sequences_of_it, int64_t tokens_of_it) REQUIRES(mutex);
  void Leave(Flow* flow, int num_sequences_of_it, int64_t tokens_of_it) REQUIRES(mutex);

 private:
  // With the applicant's own last, also when it has none yet.
  std::vector<QueuedFlow> FlowsWith(const Applicant& applicant, std::vector<Flow*>* which) const
      REQUIRES(mutex);
};

}  // namespace weir
