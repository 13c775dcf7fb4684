#include <fmt/format.h>

#include <unordered_set>

#include "engine/scheduler/scheduler.h"
#include "engine/scheduler/waiting_order.h"

namespace weir {
namespace {

std::string CheckRunning(const Sequence& sequence) {
  if (sequence.state != SequenceState::kRunning) return "is in running but not in that state";
  if (sequence.num_computed_tokens < 0 || sequence.num_computed_tokens >= sequence.num_tokens()) {
    return fmt::format("has {} of {} tokens computed", sequence.num_computed_tokens, sequence.num_tokens());
  }
  if (BlocksFor(sequence.num_computed_tokens) > static_cast<int>(sequence.table.blocks().size())) {
    return "has computed tokens without a block";
  }
  return "";
}

std::string CheckWaiting(const Sequence& sequence) {
  if (sequence.state != SequenceState::kWaiting) return "is in waiting but not in that state";
  if (sequence.num_computed_tokens != 0) return "waits with computed tokens";
  if (!sequence.table.blocks().empty()) return "waits with blocks";
  return "";
}

}  // namespace

std::string Scheduler::CheckInvariants() const {
  if (std::string wrong = pool_->CheckInvariants(); !wrong.empty()) return wrong;
  if (running_.size() > static_cast<size_t>(limits_.max_num_seqs)) {
    return fmt::format("{} sequences run, at most {} may", running_.size(), limits_.max_num_seqs);
  }
  std::unordered_set<const Sequence*> seen;
  std::vector<bool> held(pool_->num_blocks(), false);
  int num_held = 0;
  for (const auto& sequence : running_) {
    if (std::string wrong = CheckRunning(*sequence); !wrong.empty()) {
      return fmt::format("sequence {} {}", sequence->number, wrong);
    }
    if (!seen.insert(sequence.get()).second) return fmt::format("sequence {} runs twice", sequence->number);
    for (BlockId block : sequence->table.blocks()) {
      if (held[block]) return fmt::format("block {} is held twice", block);
      held[block] = true;
      ++num_held;
    }
  }
  for (const auto& sequence : waiting_) {
    if (std::string wrong = CheckWaiting(*sequence); !wrong.empty()) {
      return fmt::format("sequence {} {}", sequence->number, wrong);
    }
    if (!seen.insert(sequence.get()).second)
      return fmt::format("sequence {} is held twice", sequence->number);
  }
  if (num_held != pool_->num_used()) {
    return fmt::format("{} blocks are used, block tables hold {}", pool_->num_used(), num_held);
  }
  for (size_t i = 1; i < waiting_.size(); ++i) {
    if (ServedBefore(waiting_[i], waiting_[i - 1])) {
      return fmt::format("sequence {} waits behind {}, which is served later", waiting_[i]->number,
                         waiting_[i - 1]->number);
    }
  }
  return "";
}

std::string Scheduler::CheckPlan(const StepPlan& plan) const {
  std::unordered_set<const Sequence*> seen;
  int num_tokens = 0;
  for (const ScheduledSequence& entry : plan.entries) {
    const Sequence& sequence = *entry.sequence;
    num_tokens += entry.num_scheduled_tokens;
    if (!seen.insert(&sequence).second)
      return fmt::format("the plan holds sequence {} twice", sequence.number);
    if (sequence.state != SequenceState::kRunning) {
      return fmt::format("the plan holds sequence {}, which does not run", sequence.number);
    }
    const int end = sequence.num_computed_tokens + entry.num_scheduled_tokens;
    if (entry.num_scheduled_tokens < 1 || entry.num_scheduled_tokens > sequence.num_computable_tokens() ||
        BlocksFor(end) > static_cast<int>(sequence.table.blocks().size())) {
      return fmt::format("the plan gives sequence {} {} tokens, of {} with {} computed and {} blocks",
                         sequence.number, entry.num_scheduled_tokens, sequence.num_tokens(),
                         sequence.num_computed_tokens, sequence.table.blocks().size());
    }
  }
  for (const Sequence* sequence : plan.preempted) {
    if (seen.count(sequence) != 0)
      return fmt::format("the plan holds preempted sequence {}", sequence->number);
  }
  if (num_tokens != plan.num_tokens || num_tokens > limits_.max_num_batched_tokens) {
    return fmt::format("the plan holds {} tokens, says {}, and may hold {}", num_tokens, plan.num_tokens,
                       limits_.max_num_batched_tokens);
  }
  return "";
}

}  // namespace weir
