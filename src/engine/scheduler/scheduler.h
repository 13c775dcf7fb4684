// Decides what each step computes: which sequences wait, run, are preempted, and how many tokens each gets.
//
// Requires  every sequence added fits the pool alone (prompt + max_tokens), else it could wait for ever
// Owns      the sequences and their blocks, from Add() to Remove() or Expire()
// Errors    none: whatever the load, the oldest running sequence makes progress
// Threads   engine thread only. Touches no clock, thread or tensor, so a simulation runs the very same code
// Source    ARCHITECTURE.md, "The walk of a request"
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/kvcache/block_pool.h"
#include "engine/kvcache/prefix_cache.h"
#include "engine/request/sequence.h"
#include "engine/scheduler/cost_model.h"
#include "engine/scheduler/fair_shares.h"
#include "engine/scheduler/step_plan.h"

namespace weir {

struct SchedulerLimits {
  int max_num_seqs = 32;
  int max_num_batched_tokens = 512;
  Duration itl_objective = std::chrono::milliseconds(50);
  // Rows of one step that may ask for logits of prompt tokens: every such row costs a whole row of the
  // vocabulary.
  int max_prompt_logit_rows = 32;
};

class Scheduler {
 public:
  // Without a prefix cache every prompt is computed from its start.
  Scheduler(const SchedulerLimits& limits, BlockPool* pool, const CostModel* cost,
            PrefixCache* cache = nullptr);
  virtual ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  Sequence* Add(std::unique_ptr<Sequence> sequence);
  virtual void Schedule(TimePoint now, StepPlan* plan) = 0;
  // Advances what the plan computed. tokens[i] belongs to plan.entries[i] and is looked at where that one
  // samples; -1 appends nothing (the caller then removes the sequence).
  void Commit(const StepPlan& plan, std::span<const int32_t> tokens);
  // Ends a sequence in any state and frees its blocks at once.
  std::unique_ptr<Sequence> Remove(Sequence* sequence);
  // Takes out what has not begun and cannot produce its first token in time any more.
  std::vector<std::unique_ptr<Sequence>> Expire(TimePoint now);
  // When the oldest came that waits and has not begun; empty: nobody does.
  std::optional<TimePoint> OldestWaiting() const;
  // From now on, within a flow: while too much is asked, the newest are those that can still be served in time.
  void set_newest_first(bool newest_first) { newest_first_ = newest_first; }

  std::span<const std::unique_ptr<Sequence>> running() const { return running_; }
  std::span<const std::unique_ptr<Sequence>> waiting() const { return waiting_; }
  bool empty() const { return running_.empty() && waiting_.empty(); }
  const SchedulerLimits& limits() const { return limits_; }
  const FairShares& shares() const { return shares_; }
  FairShares& shares() { return shares_; }
  // Empty when sound.
  std::string CheckInvariants() const;
  // The same for a plan that was just made.
  std::string CheckPlan(const StepPlan& plan) const;

 protected:
  // Waiting in the order of service, running in the order of arrival.
  void InsertWaiting(std::unique_ptr<Sequence> sequence);
  // Looks up what of a waiting sequence is computed already, into found_. Returns its tokens.
  int FindCached(const Sequence& sequence);
  // Free blocks that starting it takes: the missing ones, and those of found_ that nobody holds.
  int BlocksToStart(const Sequence& sequence) const;
  // With found_. Leaves an empty place behind; CompactWaiting() closes it.
  Sequence* Start(size_t waiting_index);
  void CompactWaiting();
  void Preempt(Sequence* sequence, StepPlan* plan);

  const SchedulerLimits limits_;
  BlockPool* const pool_;
  const CostModel* const cost_;
  PrefixCache* const cache_;
  std::vector<BlockId> found_;
  FairShares shares_;
  bool newest_first_ = false;
  std::vector<std::unique_ptr<Sequence>> waiting_;
  std::vector<std::unique_ptr<Sequence>> running_;

 private:
  // Offers the prompt blocks that are complete now to the prefix cache.
  void KeepComputed(Sequence& sequence);
};

}  // namespace weir
