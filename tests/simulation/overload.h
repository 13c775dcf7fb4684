// Clients that ask for more than the machine can do, on a clock that is only a number: the door's policy, the scheduler and
// the cost model are the product's own, the machine is a formula.
//
// Units     virtual seconds
// Owns      everything
// Errors    none; what was refused and why stands in the result
//
// One seed decides every arrival and length, so a failure replays exactly.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/admission/admission.h"
#include "engine/admission/queue_delay.h"
#include "engine/kvcache/block_pool.h"
#include "engine/scheduler/continuous.h"
#include "engine/scheduler/mean_lengths.h"

namespace weir {

struct OverloadClient {
  std::string owner{};
  double requests_per_s = 0;
  int shortest_prompt = 64, longest_prompt = 256;
  int shortest_output = 32, longest_output = 96;
  RequestClass service_class = RequestClass::kDefault;
  double from_s = 0, until_s = 60;
  bool comes_back = false;   // once, exactly when it was told to
  int max_tokens = 512;      // its outputs end before, unless they are as long
  bool ignores_eos = false;  // then they end at their length for certain
};

struct OverloadOutcome {
  std::string owner{};
  double arrived_s = 0;
  int num_prompt = 0;
  std::string refused{};  // why; empty: admitted
  double retry_after_s = 0;
  double predicted_s = 0;  // TTFT
  double ttft_s = -1;      // below zero: never had a token
  double ended_s = -1;
  std::vector<double> gaps_s{};
  int num_tokens = 0;
  bool is_retry = false;

  bool admitted() const { return refused.empty(); }
  double MeanGap() const;
};

class OverloadRun {
 public:
  struct Machine {
    double sweep_s = 0.008;   // a step takes at least this
    double token_s = 0.0005;  // and this per token
    double kv_s = 2e-8;       // and this per token read
    int max_num_seqs = 32;
    int max_num_batched_tokens = 512;
    int num_blocks = 1024;
    Duration ttft_objective = std::chrono::milliseconds(1500);
    Duration itl_objective = std::chrono::milliseconds(50);
    double codel_target = kCodelTarget;           // share of the TTFT objective
    double slower_from_s = 1e300, slower_by = 1;  // from then on a step takes so many times as long
  };

  OverloadRun(const Machine& machine, uint64_t seed);
  ~OverloadRun();

  void Add(const OverloadClient& client);
  // One request at a given time.
  void AddOne(double at_s, const OverloadClient& client);
  void Run();

  const std::vector<OverloadOutcome>& outcomes() const { return outcomes_; }
  // Cost of what an owner was served until the last arrival: afterwards nobody competes.
  double ServedCost(const std::string& owner) const;
  const std::string& wrong() const { return wrong_; }  // a broken invariant

 private:
  struct Arrival {
    double at_s = 0;
    OverloadClient client{};
    int num_prompt = 0;
    int num_output = 0;
    bool is_retry = false;
  };
  struct Live {
    size_t outcome = 0;
    int num_output = 0;
    size_t flow = 0;
    int64_t reserved_tokens = 0;
    bool holds_place = true;
    double scheduled_s = -1;
    double last_token_s = -1;
  };

  void Arrive(const Arrival& arrival);
  void ArriveUntil(double end_s);
  bool Step(double* now_s);
  void EndEvicted();
  void EndOverdue(double now_s);
  void Finish(Sequence* sequence, double now_s);
  void PublishPlaces();
  void Publish();
  LoadSnapshot Load() const;
  size_t FlowOf(const OverloadClient& client);

  const Machine machine_;
  Rng rng_;
  Rng jitter_;
  std::multimap<double, Arrival> arrivals_;
  std::vector<OverloadOutcome> outcomes_;
  BlockPool pool_;
  CostModel cost_;
  std::unique_ptr<ContinuousScheduler> scheduler_;
  StepPlan plan_;
  std::vector<QueuedFlow> flows_;
  std::vector<std::string> owner_of_flow_;
  std::map<const Sequence*, Live> live_;
  LoadSnapshot published_;
  MeanLengths lengths_;
  QueueDelay queue_delay_;
  RetryLine retry_line_;
  double step_seconds_ = 0;
  double step_ends_s_ = 0;  // by its prediction
  uint64_t next_number_ = 0;
  int64_t num_steps_ = 0;
  std::map<std::string, double> served_;
  std::string wrong_;
};

}  // namespace weir
