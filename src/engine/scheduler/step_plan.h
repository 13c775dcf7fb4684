// What one step will compute: the scheduler's decision, before any tensor is touched.
#pragma once

#include <vector>

#include "engine/request/sequence.h"

namespace weir {

struct ScheduledSequence {
  Sequence* sequence = nullptr;
  int num_scheduled_tokens = 0;
  bool samples = false;  // the last scheduled token is the sequence's last: its logits choose the next one
};

struct StepPlan {
  std::vector<ScheduledSequence> entries;
  int num_tokens = 0;
  int num_prefill_tokens = 0;
  int64_t kv_tokens_read = 0;
  std::vector<Sequence*> preempted;

  bool empty() const { return entries.empty(); }
  void Clear();
};

}  // namespace weir
