// Continuous batching: decodes first, then chunks of prompts, inside a token budget and a step-time budget.
//
// Owns      as Scheduler
// Threads   engine thread only
// Source    ARCHITECTURE.md, "The walk of a request"
//
// It cannot deadlock: the oldest running sequence is never a victim, so it finishes; a waiting one that was
// overtaken 16 times is not overtaken again, so it gets the blocks that become free.
#pragma once

#include "engine/scheduler/scheduler.h"

namespace weir {

class ContinuousScheduler final : public Scheduler {
 public:
  using Scheduler::Scheduler;
  void Schedule(TimePoint now, StepPlan* plan) override;

 private:
  // Largest piece of `wanted` tokens that still fits this step.
  int Chunk(const Sequence& sequence, int wanted, const StepPlan& plan) const;
  void ScheduleRunning(StepPlan* plan);
  void ScheduleWaiting(StepPlan* plan);
  void AddToPlan(Sequence* sequence, int count, bool is_first, StepPlan* plan);
  Sequence* FindVictim(const StepPlan& plan) const;
  bool CanStart(const Sequence& sequence) const;

  // Waiting sequences one after another, as their turn comes: first those that go before all others, then always the
  // first of the flow that has been served least.
  void BeginTurns();
  size_t NextTurn();  // its index in waiting_, or kNobody
  void EndTurns(Stage cause, uint64_t latest_started);

  static constexpr size_t kNobody = static_cast<size_t>(-1);
  int prompt_rows_left_ = 0;        // of this step
  double decode_price_ = 1;         // of this step, in prompt tokens
  Duration step_budget_{};          // of this step
  std::vector<ServedFlow*> turns_;  // scratch: flows with waiting sequences
  size_t num_privileged_ = 0;       // at the front of waiting_: they need no turn
  size_t next_privileged_ = 0;
  std::vector<Sequence*> in_order_;  // scratch: decodes, then prefills
};

}  // namespace weir
