#include "engine/scheduler/continuous.h"

#include <algorithm>

#include "base/check.h"
#include "engine/scheduler/waiting_order.h"

namespace weir {
namespace {

// One block in fifty stays free while anything runs: running sequences grow, and a preemption costs more than
// a wait.
constexpr int kReservedShare = 50;

// Least served first; of equals the heavier, then whose sequence is before in waiting_.
bool GoesBefore(const ServedFlow& a, const ServedFlow& b) {
  if (a.counter != b.counter) return a.counter < b.counter;
  if (a.weight != b.weight) return a.weight > b.weight;
  return a.waiting[a.next_waiting] < b.waiting[b.next_waiting];
}

}  // namespace

void ContinuousScheduler::Schedule(TimePoint, StepPlan* plan) {
  plan->Clear();
  prompt_rows_left_ = limits_.max_prompt_logit_rows;
  int num_decodes = 0;
  int64_t kv_tokens_read = 0;
  for (const auto& sequence : running_) {
    if (!sequence->is_decode()) continue;
    ++num_decodes;
    kv_tokens_read += KvTokensRead(sequence->num_computed_tokens, 1);
  }
  decode_price_ = cost_->DecodePrice(num_decodes, limits_.max_num_batched_tokens);
  const size_t num_prompts = running_.size() - static_cast<size_t>(num_decodes) + waiting_.size();
  step_budget_ = cost_->StepBudget(num_decodes, kv_tokens_read, limits_.itl_objective, num_prompts > 1);
  ScheduleRunning(plan);
  if (plan->preempted.empty()) {
    ScheduleWaiting(plan);
  } else {
    for (auto& sequence : waiting_) sequence->waiting_cause = Stage::kQueueKv;
  }
}

int ContinuousScheduler::Chunk(const Sequence& sequence, int wanted, const StepPlan& plan) const {
  int limit = std::min(wanted, limits_.max_num_batched_tokens - plan.num_tokens);
  if (sequence.request.prompt_logprobs) limit = std::min(limit, prompt_rows_left_);
  if (limit <= 0) return 0;
  const auto fits = [&](int count) {
    return cost_->Predict(plan.num_tokens + count,
                          plan.kv_tokens_read + KvTokensRead(sequence.num_computed_tokens, count)) <=
           step_budget_;
  };
  int fitting = limit;
  if (!fits(limit)) {
    fitting = 0;
    for (int too_many = limit; too_many - fitting > 1;) {
      const int middle = fitting + (too_many - fitting) / 2;
      (fits(middle) ? fitting : too_many) = middle;
    }
  }
  if (plan.num_prefill_tokens == 0) fitting = std::max(fitting, std::min(limit, CostModel::kSmallestPiece));
  return fitting;
}

void ContinuousScheduler::AddToPlan(Sequence* sequence, int count, bool is_first, StepPlan* plan) {
  if (sequence->request.prompt_logprobs && !sequence->is_decode()) prompt_rows_left_ -= count;
  // What a preemption threw away was paid for once.
  if (!sequence->was_preempted) shares_.Charge(sequence->flow, sequence->is_decode() ? decode_price_ : count);
  plan->Add(sequence, count, is_first);
}

void ContinuousScheduler::ScheduleRunning(StepPlan* plan) {
  in_order_.clear();
  for (const auto& sequence : running_) {
    if (sequence->is_decode()) in_order_.push_back(sequence.get());
  }
  for (const auto& sequence : running_) {
    if (!sequence->is_decode()) in_order_.push_back(sequence.get());
  }
  for (Sequence* sequence : in_order_) {
    if (sequence->state != SequenceState::kRunning) continue;  // preempted for one before it
    const int missing = sequence->num_computable_tokens();
    const int count = sequence->is_decode()
                          ? std::min(missing, limits_.max_num_batched_tokens - plan->num_tokens)
                          : Chunk(*sequence, missing, *plan);
    if (count == 0) {
      sequence->waiting_cause = Stage::kQueueBudget;
      continue;
    }
    const int end = sequence->num_computed_tokens + count;
    while (sequence->state == SequenceState::kRunning && !sequence->table.CanCover(*pool_, end)) {
      // There is always one: a sequence that is not the oldest may be its own victim, and the oldest fits
      // alone.
      Sequence* victim = FindVictim(*plan);
      CHECK(victim != nullptr);
      Preempt(victim, plan);
    }
    if (sequence->state != SequenceState::kRunning) continue;
    sequence->table.Cover(*pool_, end);
    AddToPlan(sequence, count, /*is_first=*/false, plan);
  }
}

// Lowest class, then least computed (it loses least), then youngest; never the oldest.
Sequence* ContinuousScheduler::FindVictim(const StepPlan& plan) const {
  Sequence* victim = nullptr;
  for (size_t i = 1; i < running_.size(); ++i) {
    Sequence* candidate = running_[i].get();
    if (plan.Contains(candidate)) continue;
    if (victim == nullptr) {
      victim = candidate;
      continue;
    }
    const int class_difference =
        static_cast<int>(candidate->request.service_class) - static_cast<int>(victim->request.service_class);
    const int computed_difference = candidate->num_computed_tokens - victim->num_computed_tokens;
    if (class_difference > 0 || (class_difference == 0 && computed_difference <= 0)) victim = candidate;
  }
  return victim;
}

// With found_. The whole sequence, so that its prefill never stalls half-way.
bool ContinuousScheduler::CanStart(const Sequence& sequence) const {
  const int reserved = running_.empty() ? 0 : (pool_->num_blocks() + kReservedShare - 1) / kReservedShare;
  return pool_->CanAllocate(BlocksToStart(sequence) + reserved);
}

void ContinuousScheduler::BeginTurns() {
  turns_.clear();
  next_privileged_ = 0;
  num_privileged_ = 0;
  while (num_privileged_ < waiting_.size() && ServiceRank(*waiting_[num_privileged_]) < kFreshRank)
    ++num_privileged_;
  for (size_t i = num_privileged_; i < waiting_.size(); ++i) {
    ServedFlow* flow = waiting_[i]->flow;
    if (flow->waiting.empty()) turns_.push_back(flow);
    flow->waiting.push_back(i);
  }
  for (ServedFlow* flow : turns_) {
    flow->next_waiting = 0;
    if (!newest_first_) continue;
    std::sort(flow->waiting.begin(), flow->waiting.end(),
              [&](size_t a, size_t b) { return waiting_[a]->number > waiting_[b]->number; });
  }
}

size_t ContinuousScheduler::NextTurn() {
  if (next_privileged_ < num_privileged_) return next_privileged_++;
  ServedFlow* next = nullptr;
  for (ServedFlow* flow : turns_) {
    if (flow->next_waiting == flow->waiting.size()) continue;
    if (next == nullptr || GoesBefore(*flow, *next)) next = flow;
  }
  return next == nullptr ? kNobody : next->waiting[next->next_waiting++];
}

// Who is left waits for `cause`, or for the turns of others where one who came later has started.
void ContinuousScheduler::EndTurns(Stage cause, uint64_t latest_started) {
  const auto blame = [&](size_t i) {
    const bool is_passed = cause != Stage::kQueueKv && waiting_[i]->number < latest_started;
    waiting_[i]->waiting_cause = is_passed ? Stage::kQueueFair : cause;
  };
  while (next_privileged_ < num_privileged_) waiting_[next_privileged_++]->waiting_cause = cause;
  for (ServedFlow* flow : turns_) {
    while (flow->next_waiting < flow->waiting.size()) blame(flow->waiting[flow->next_waiting++]);
    flow->waiting.clear();
  }
}

void ContinuousScheduler::ScheduleWaiting(StepPlan* plan) {
  std::vector<Sequence*> skipped;
  bool someone_aged = false;
  uint64_t latest_started = 0;
  Stage cause = Stage::kQueueSlot;  // of those whose turn does not come
  BeginTurns();
  while (running_.size() < static_cast<size_t>(limits_.max_num_seqs)) {
    const size_t i = NextTurn();
    if (i == kNobody) break;
    Sequence* sequence = waiting_[i].get();
    if (sequence->request.prompt_logprobs && prompt_rows_left_ == 0) {
      sequence->waiting_cause = Stage::kQueueBudget;  // those behind it do not need what it lacks
      continue;
    }
    sequence->num_computed_tokens = FindCached(*sequence);
    const int count = Chunk(*sequence, sequence->num_computable_tokens(), *plan);
    const bool starts = count > 0 && CanStart(*sequence);
    if (!starts) sequence->num_computed_tokens = 0;
    if (count == 0) {
      sequence->waiting_cause = cause = Stage::kQueueBudget;
      break;
    }
    if (!starts) {
      sequence->waiting_cause = Stage::kQueueKv;
      if (IsAged(*sequence)) {  // what becomes free is kept for it
        cause = Stage::kQueueKv;
        break;
      }
      skipped.push_back(sequence);
      continue;
    }
    latest_started = std::max(latest_started, sequence->number);
    Start(i);
    AddToPlan(sequence, count, /*is_first=*/true, plan);
    for (Sequence* passed : skipped) {
      ++passed->num_overtaken;
      someone_aged = someone_aged || IsAged(*passed);
    }
    if (someone_aged) {  // in the middle of a step too, nobody passes it any more
      cause = Stage::kQueueKv;
      break;
    }
  }
  EndTurns(cause, latest_started);
  CompactWaiting();
  if (someone_aged) std::sort(waiting_.begin(), waiting_.end(), ServedBefore);
}

}  // namespace weir
