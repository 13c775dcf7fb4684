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

Scheduler::Scheduler(const SchedulerLimits& limits, BlockPool* pool, const CostModel* cost,
                     PrefixCache* cache)
    : limits_(limits), pool_(pool), cost_(cost), cache_(cache) {
  CHECK(limits.max_num_seqs > 0 && limits.max_num_batched_tokens >= limits.max_num_seqs);
}

Scheduler::~Scheduler() {
  for (const auto& sequence : running_) sequence->table.Free(*pool_);
}

Sequence* Scheduler::Add(std::unique_ptr<Sequence> sequence) {
  CHECK(sequence->num_tokens() > 0);
  sequence->state = SequenceState::kWaiting;
  sequence->flow = shares_.Enter(sequence->request.owner, sequence->request.service_class);
  Sequence* added = sequence.get();
  InsertWaiting(std::move(sequence));
  return added;
}

void Scheduler::InsertWaiting(std::unique_ptr<Sequence> sequence) {
  const auto place = std::upper_bound(waiting_.begin(), waiting_.end(), sequence, ServedBefore);
  waiting_.insert(place, std::move(sequence));
}

int Scheduler::FindCached(const Sequence& sequence) {
  found_.clear();
  if (cache_ != nullptr) cache_->Find(sequence.SkippablePrefix(), &found_);
  return static_cast<int>(found_.size()) * kBlockSize;
}

int Scheduler::BlocksToStart(const Sequence& sequence) const {
  const auto num_idle = std::count_if(found_.begin(), found_.end(),
                                      [&](BlockId block) { return pool_->num_references(block) == 0; });
  return BlocksFor(sequence.num_tokens()) - static_cast<int>(found_.size()) + static_cast<int>(num_idle);
}

Sequence* Scheduler::Start(size_t waiting_index) {
  std::unique_ptr<Sequence> sequence = std::move(waiting_[waiting_index]);
  Sequence* started = sequence.get();
  // Before anything is allocated, which could evict what was found.
  started->table.Adopt(*pool_, found_);
  started->num_kept_blocks = static_cast<int>(found_.size());
  started->num_computed_tokens = started->num_kept_blocks * kBlockSize;
  if (started->num_preemptions == 0) {
    started->num_cached_tokens = started->num_computed_tokens;
  } else {
    started->num_recomputed_tokens -= started->num_computed_tokens;
  }
  found_.clear();
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
  taken->num_kept_blocks = 0;
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
    KeepComputed(sequence);
    if (entry.samples && tokens[i] >= 0) {
      sequence.tokens.push_back(tokens[i]);
      sequence.was_preempted = false;
    }
  }
}

void Scheduler::KeepComputed(Sequence& sequence) {
  if (cache_ == nullptr || !cache_->grows()) return;
  const PromptPrefix prefix = sequence.WholePrefix();
  const int num_complete =
      std::min(sequence.num_computed_tokens / kBlockSize, static_cast<int>(prefix.hashes.size()));
  for (int& index = sequence.num_kept_blocks; index < num_complete; ++index) {
    const auto blocks = sequence.table.blocks();
    const BlockId kept =
        cache_->Keep(prefix, index, index == 0 ? kNoBlock : blocks[index - 1], blocks[index]);
    // Computed twice at the same time: equal bits, so one of the two is enough.
    if (kept != blocks[index]) sequence.table.Replace(*pool_, index, kept);
  }
}

std::unique_ptr<Sequence> Scheduler::Remove(Sequence* sequence) {
  std::unique_ptr<Sequence> taken =
      TakeOut(sequence->state == SequenceState::kRunning ? running_ : waiting_, sequence);
  taken->table.Free(*pool_);
  taken->state = SequenceState::kFinished;
  shares_.Leave(taken->flow);
  taken->flow = nullptr;
  return taken;
}

std::optional<TimePoint> Scheduler::OldestWaiting() const {
  std::optional<TimePoint> oldest;
  for (const auto& sequence : waiting_) {
    if (sequence->num_preemptions > 0) continue;
    if (!oldest || sequence->arrived < *oldest) oldest = sequence->arrived;
  }
  return oldest;
}

std::vector<std::unique_ptr<Sequence>> Scheduler::Expire(TimePoint now) {
  std::vector<std::unique_ptr<Sequence>> expired;
  for (auto& sequence : waiting_) {
    const std::optional<TimePoint>& deadline = sequence->latest_first_token;
    const bool has_begun = sequence->num_preemptions > 0;
    if (!deadline || has_begun) continue;
    const auto is_in_time = [&](int num_tokens) {
      return now + cost_->PredictPrefill(num_tokens, limits_.max_num_batched_tokens) <= *deadline;
    };
    // Cheap tests first: most are far from their deadline.
    if (now <= *deadline && is_in_time(sequence->num_tokens())) continue;
    if (now <= *deadline && is_in_time(sequence->num_tokens() - FindCached(*sequence))) continue;
    sequence->state = SequenceState::kFinished;
    shares_.Leave(sequence->flow);
    sequence->flow = nullptr;
    expired.push_back(std::move(sequence));
  }
  if (!expired.empty()) CompactWaiting();
  return expired;
}

}  // namespace weir
