// Accept or refuse, at the door: a pure policy on numbers. It sees no clock, thread or socket.
//
// Errors    Refusal::reason is one of the API's 429 codes: queue_full, ttft_unmeetable, deadline_unmeetable
// Threads   pure functions
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/admission/queue_standing.h"
#include "engine/admission/slot_ends.h"

namespace weir {

// Published by the engine after every step, and by Reserve() for what it added since.
struct LoadSnapshot {
  TimePoint at{};
  int num_running = 0;
  int num_waiting = 0;        // accepted and not yet running, reservations included
  int64_t queued_tokens = 0;  // uncached prompt tokens accepted and not yet computed
  int free_blocks = 0;
  int total_blocks = 0;
  int max_num_seqs = 0;
  double prefill_tokens_per_s = 0;  // 0: not known yet
  double request_seconds = 0;       // time of a request in its slot while all are taken; 0: not known yet
  double step_seconds = 0;          // mean of recent steps
  double token_seconds_alone = 0;   // of an output token while nobody else runs; 0: not known yet
  double token_seconds_full = 0;    // and while all slots are taken and others wait
  double most_of_late = 0;          // who ran and waited at most; the longer ago, the less it counts
  double long_output_tokens = 0;    // nearly all of late are shorter; 0: not known yet
  double cut_share = 0;             // of late: outputs that ended at their max_tokens
  std::vector<RunningOutput> outputs{};  // who runs, and who is known to take the free slots
  double rest_of_step = -1;    // seconds, of the step that runs; below 0: not known, a mean step is assumed
  int64_t tokens_in_step = 0;  // of the queued ones, computed by the step that runs
  bool overloaded = false;     // the queue stands, see queue_delay.h
  TimePoint oldest_waiting{};  // when it came, of those that have not begun; zero: nobody waits
};

struct AdmissionLimits {
  bool bounded = true;          // false: the reference study's server, which takes everything
  int max_num_queued_reqs = 0;  // beyond those for whom a slot is free already
  int64_t max_num_queued_tokens = 0;
  Duration ttft_objective = std::chrono::seconds(10);
};

struct Refusal {
  std::string reason;
  Duration retry_after{};  // when the failed test should pass, held in 100 ms .. 60 s
};

// More requests than this are never queued, not even by the server that takes everything: it bounds memory.
inline constexpr int kMaxQueuedInAnyMode = 1024;

// Until the first step of a request that is accepted now.
Duration PredictWait(const LoadSnapshot& load, int64_t prompt_tokens);

// What was most of late, `later` after it was said.
double Fade(double most_of_late, Duration later);

// From the first token to the last, beside the others that run and wait; or that did so a moment ago, because clients that come in
// waves are back before the answer is there.
Duration PredictDecode(const LoadSnapshot& load, double output_tokens);

// Empty: accepted. An idle engine refuses only a deadline it cannot meet. `first_token_budget` of a request with a deadline for its
// whole answer is what that leaves after PredictDecode().
std::optional<Refusal> Decide(const AdmissionLimits& limits, const LoadSnapshot& load,
                              const QueueStanding& standing, int64_t prompt_tokens,
                              std::optional<Duration> first_token_budget);
// Among equals, who are served in the order of arrival.
std::optional<Refusal> Decide(const AdmissionLimits& limits, const LoadSnapshot& load, int64_t prompt_tokens,
                              std::optional<Duration> first_token_budget);

// Of these tests the last alone, for a request that holds its place already: of the load, its own part is taken out.
std::optional<Refusal> DecideDeadline(const LoadSnapshot& load, const QueueStanding& standing,
                                      int64_t prompt_tokens, Duration first_token_budget);

// Those who were refused come back, and must find room when they do: each is told a time of its own, at the pace at which
// the engine gets through requests. One whose test would pass sooner waits behind those who were told before.
class RetryLine {
 public:
  // For a refusal other than of the client's own deadline. Not below `refusal.retry_after`, at most a minute.
  Duration Join(const Refusal& refusal, const LoadSnapshot& load, int64_t prompt_tokens, TimePoint now);

 private:
  TimePoint end_{};
  double spread_ = 0;  // of those for whom the line is too long: where the last one's time lies
};

// The load as it looks to somebody with this standing: what is served later does not count.
LoadSnapshot AheadOf(const LoadSnapshot& load, const QueueStanding& standing);

}  // namespace weir
