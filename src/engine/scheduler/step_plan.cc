#include "engine/scheduler/step_plan.h"

#include <algorithm>

namespace weir {

bool StepPlan::Contains(const Sequence* sequence) const {
  return std::any_of(entries.begin(), entries.end(),
                     [&](const ScheduledSequence& entry) { return entry.sequence == sequence; });
}

void StepPlan::Add(Sequence* sequence, int count, bool is_first) {
  const bool is_decode = sequence->is_decode();
  if (is_first && sequence->num_preemptions == 0 && sequence->is_looked_up()) {
    num_queried_tokens += sequence->num_prompt_tokens;
    num_cached_tokens += sequence->num_cached_tokens;
  }
  entries.push_back({.sequence = sequence,
                     .num_scheduled_tokens = count,
                     .samples = sequence->num_computed_tokens + count == sequence->num_tokens(),
                     .is_decode = is_decode,
                     .is_first = is_first});
  num_tokens += count;
  const int64_t kv = KvTokensRead(sequence->num_computed_tokens, count);
  kv_tokens_read += kv;
  if (is_decode) return;
  num_prefill_tokens += count;
  prefill_kv_tokens_read += kv;
}

void StepPlan::PutPromptsFirst() {
  std::partition(entries.begin(), entries.end(),
                 [](const ScheduledSequence& entry) { return entry.sequence->in_prompt(); });
}

void StepPlan::Clear() {
  entries.clear();
  preempted.clear();
  num_tokens = 0;
  num_prefill_tokens = 0;
  kv_tokens_read = 0;
  prefill_kv_tokens_read = 0;
  num_queried_tokens = 0;
  num_cached_tokens = 0;
}

}  // namespace weir
