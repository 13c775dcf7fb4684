// A server without tensors: admission, scheduler and KV blocks under random operations, on a clock that is only a number.
//
// Units     virtual nanoseconds
// Owns      everything
// Errors    Run() returns what went wrong, empty when nothing did
//
// One seed decides the machine (pool, limits, step costs), the load and every operation, so a failure replays exactly.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/rng.h"
#include "engine/admission/admission.h"
#include "engine/kvcache/block_pool.h"
#include "engine/scheduler/scheduler.h"

namespace weir {

class Simulation {
 public:
  explicit Simulation(uint64_t seed);
  ~Simulation();

  std::string Run();

  // What happened, so that a test can tell that the seeds reach the interesting places.
  struct Counts {
    int64_t steps = 0, accepted = 0, refused = 0, finished = 0, cancelled = 0, expired = 0, preempted = 0;
    int64_t cached_tokens = 0;
    Duration longest_wait{};
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Client {
    int max_tokens = 0;
    int64_t reserved_tokens = 0;
    bool holds_place = true;  // counted by admission until it runs
  };
  // What a slot's K and V were computed from: everything up to its token, and for whom.
  struct Slot {
    uint64_t prefix = 0;
    uint64_t salt = 0;
  };

  std::string Arrive();
  std::string CancelOne();
  std::string Step();
  std::string CommitStep();
  std::string CheckProgress();
  // Plays the model: what a row reads must be what a prompt computed alone would read.
  std::string ReadAndWriteSlots();
  void MakePrompt(Sequence* sequence);
  std::string CheckAll() const;
  void Forget(const Sequence* sequence);
  LoadSnapshot Load() const;
  double TrueStepSeconds();

  Rng rng_;
  Counts counts_;
  TimePoint now_{};
  // The machine.
  double sweep_seconds_ = 0;
  double token_seconds_ = 0;
  double kv_seconds_ = 0;
  bool is_sequential_ = false;
  bool has_echo_ = false;
  bool has_cache_ = false;
  AdmissionLimits admission_;
  std::unique_ptr<BlockPool> pool_;
  std::unique_ptr<PrefixCache> cache_;
  std::vector<Slot> slots_;
  CostModel cost_;
  std::unique_ptr<Scheduler> scheduler_;
  StepPlan plan_;
  // The door's counters.
  int num_promised_ = 0;
  int64_t promised_tokens_ = 0;
  double prefill_rate_ = 0;
  double request_seconds_ = 0;

  uint64_t next_number_ = 0;
  uint64_t last_started_ = 0;  // sequential: the order of starts
  bool has_started_ = false;
  std::unordered_map<const Sequence*, Client> clients_;
};

}  // namespace weir
