#include <fmt/format.h>

#include <algorithm>
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
  if (sequence.num_kept_blocks >
      std::min(sequence.num_computed_tokens, sequence.num_prompt_tokens) / kBlockSize)
    return fmt::format("shares {} blocks, more than its prompt has computed", sequence.num_kept_blocks);
  return "";
}

std::string CheckWaiting(const Sequence& sequence) {
  if (sequence.state != SequenceState::kWaiting) return "is in waiting but not in that state";
  if (sequence.num_computed_tokens != 0 || sequence.num_kept_blocks != 0) return "waits with computed tokens";
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
  if (cache_ != nullptr) {
    if (std::string wrong = cache_->CheckInvariants(); !wrong.empty()) return wrong;
  }
  std::vector<int> num_holders(pool_->num_blocks(), 0);
  for (const auto& sequence : running_) {
    if (std::string wrong = CheckRunning(*sequence); !wrong.empty()) {
      return fmt::format("sequence {} {}", sequence->number, wrong);
    }
    if (!seen.insert(sequence.get()).second) return fmt::format("sequence {} runs twice", sequence->number);
    const auto blocks = sequence->table.blocks();
    for (int i = 0; i < static_cast<int>(blocks.size()); ++i) {
      ++num_holders[blocks[i]];
      // What the cache knows may be anybody's; all else is written by its one holder.
      if ((i < sequence->num_kept_blocks) != pool_->is_kept(blocks[i]))
        return fmt::format("block {} of sequence {} is shared and written, or the reverse", blocks[i],
                           sequence->number);
    }
  }
  for (const auto& sequence : waiting_) {
    if (std::string wrong = CheckWaiting(*sequence); !wrong.empty()) {
      return fmt::format("sequence {} {}", sequence->number, wrong);
    }
    if (!seen.insert(sequence.get()).second)
      return fmt::format("sequence {} is held twice", sequence->number);
  }
  for (BlockId block = 0; block < pool_->num_blocks(); ++block) {
    if (num_holders[block] != pool_->num_references(block)) {
      return fmt::format("block {} has {} references, {} block tables hold it", block,
                         pool_->num_references(block), num_holders[block]);
    }
    if (num_holders[block] > 1 && !pool_->is_kept(block)) return fmt::format("block {} is held twice", block);
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
