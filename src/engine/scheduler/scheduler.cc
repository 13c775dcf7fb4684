#include "engine/scheduler/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/scheduler/waiting_order.h"

namespace weir {
namespace {

bool ArrivedBefore(const std::unique_ptr<Sequence>& a, const std::unique_ptr<Sequence>& b) {
  return a->number < b->number;
}

std::unique_ptr<Sequence> TakeOut(std::vector<std::unique_ptr<Sequence>>& from, const Sequence* sequence) {
  const auto found =
      std::find_if(from.begin(), from.end(), [&](const auto& s) { return s.get() == sequence; });
  CHECK(found != from.end());
  std::unique_ptr<Sequence> taken = std::move(*found);
  from.erase(found);
  return taken;
}

}  // namespace

Scheduler::Scheduler(const SchedulerLimits& limits, BlockPool* pool, const CostModel* cost)
    : limits_(limits), pool_(pool), cost_(cost) {
  CHECK(limits.max_num_seqs > 0 && limits.max_num_batched_tokens >= limits.max_num_seqs);
}

Scheduler::~Scheduler() {
  for (const auto& sequence : running_) sequence->table.Free(*pool_);
}

Sequence* Scheduler::Add(std::unique_ptr<Sequence> sequence) {
  CHECK(sequence->num_tokens() > 0);
  sequence->state = SequenceState::kWaiting;
  Sequence* added = sequence.get();
  InsertWaiting(std::move(sequence));
  return added;
}

void Scheduler::InsertWaiting(std::unique_ptr<Sequence> sequence) {
  const auto place = std::upper_bound(waiting_.begin(), waiting_.end(), sequence, ServedBefore);
  waiting_.insert(place, std::move(sequence));
}

Sequence* Scheduler::Start(size_t waiting_index) {
  std::unique_ptr<Sequence> sequence = std::move(waiting_[waiting_index]);
  Sequence* started = sequence.get();
  started->table.Cover(*pool_, started->num_tokens());
  started->state = SequenceState::kRunning;
  started->num_overtaken = 0;
  running_.insert(std::upper_bound(running_.begin(), running_.end(), sequence, ArrivedBefore),
                  std::move(sequence));
  return started;
}

void Scheduler::CompactWaiting() { std::erase(waiting_, nullptr); }

void Scheduler::Preempt(Sequence* sequence, StepPlan* plan) {
  std::unique_ptr<Sequence> taken = TakeOut(running_, sequence);
  taken->table.Free(*pool_);
  taken->num_recomputed_tokens += taken->num_computed_tokens;
  ++taken->num_preemptions;
  taken->num_computed_tokens = 0;
  taken->was_preempted = true;
  taken->state = SequenceState::kWaiting;
  taken->waiting_cause = Stage::kPreempted;
  plan->preempted.push_back(sequence);
  InsertWaiting(std::move(taken));
}

void Scheduler::Commit(const StepPlan& plan, std::span<const int32_t> tokens) {
  CHECK(tokens.size() == plan.entries.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    const ScheduledSequence& entry = plan.entries[i];
    Sequence& sequence = *entry.sequence;
    sequence.num_computed_tokens += entry.num_scheduled_tokens;
    if (entry.samples && tokens[i] >= 0) {
      sequence.tokens.push_back(tokens[i]);
      sequence.was_preempted = false;
    }
  }
}

std::unique_ptr<Sequence> Scheduler::Remove(Sequence* sequence) {
  std::unique_ptr<Sequence> taken =
      TakeOut(sequence->state == SequenceState::kRunning ? running_ : waiting_, sequence);
  taken->table.Free(*pool_);
  taken->state = SequenceState::kFinished;
  return taken;
}

std::vector<std::unique_ptr<Sequence>> Scheduler::Expire(TimePoint now) {
  std::vector<std::unique_ptr<Sequence>> expired;
  for (auto& sequence : waiting_) {
    const std::optional<TimePoint>& deadline = sequence->request.first_token_deadline;
    const bool has_begun = sequence->num_preemptions > 0;
    if (!deadline || has_begun) continue;
    // Cheap test first: most are far from their deadline.
    if (now <= *deadline &&
        now + cost_->PredictPrefill(sequence->num_tokens(), limits_.max_num_batched_tokens) <= *deadline) {
      continue;
    }
    sequence->state = SequenceState::kFinished;
    expired.push_back(std::move(sequence));
  }
  if (!expired.empty()) CompactWaiting();
  return expired;
}

}  // namespace weir
