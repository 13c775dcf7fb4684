#include "engine/scheduler/sequential.h"

#include <algorithm>

namespace weir {

void SequentialScheduler::Schedule(TimePoint, StepPlan* plan) {
  plan->Clear();
  const bool is_first = running_.empty();
  if (is_first && !waiting_.empty()) {
    // By arrival, whatever the class.
    const auto oldest = std::min_element(waiting_.begin(), waiting_.end(),
                                         [](const auto& a, const auto& b) { return a->number < b->number; });
    Start(static_cast<size_t>(oldest - waiting_.begin()));
    CompactWaiting();
  }
  for (auto& sequence : waiting_) sequence->waiting_cause = Stage::kQueueSlot;
  if (running_.empty()) return;
  Sequence* sequence = running_.front().get();
  int count = std::min(sequence->num_computable_tokens(), limits_.max_num_batched_tokens);
  if (sequence->request.prompt_logprobs) count = std::min(count, limits_.max_prompt_logit_rows);
  sequence->table.Cover(*pool_, sequence->num_computed_tokens + count);
  plan->Add(sequence, count, is_first);
}

}  // namespace weir
