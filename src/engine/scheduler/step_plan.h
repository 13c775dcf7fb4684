// What one step will compute: the scheduler's decision, before any tensor is touched.
//
// Owns      nothing: the sequences belong to the scheduler and live at least until Commit()
// Threads   engine thread only
#pragma once

#include <cstdint>
#include <vector>

#include "engine/request/sequence.h"
#include "engine/scheduler/step_kind.h"

namespace weir {

struct ScheduledSequence {
  Sequence* sequence = nullptr;
  int num_scheduled_tokens = 0;
  bool samples = false;  // the last scheduled token is the sequence's last: its logits choose the next one
  bool is_decode = false;
  bool is_first = false;  // it waited until this step
};

// Each row attends to the tokens before it and to itself.
inline int64_t KvTokensRead(int64_t num_computed, int64_t count) {
  return count * num_computed + count * (count + 1) / 2;
}

struct StepPlan {
  std::vector<ScheduledSequence> entries;
  int num_tokens = 0;
  int num_prefill_tokens = 0;
  int64_t kv_tokens_read = 0;
  int64_t prefill_kv_tokens_read = 0;  // part of it
  int64_t num_queried_tokens = 0;      // of prompts that begin in this step, looked up in the prefix cache
  int64_t num_cached_tokens = 0;       // and found there
  std::vector<Sequence*> preempted;

  bool empty() const { return entries.empty(); }
  StepKind kind() const { return num_prefill_tokens > 0 ? StepKind::kWithPrompts : StepKind::kDecodesOnly; }
  bool Contains(const Sequence* sequence) const;
  void Add(Sequence* sequence, int count, bool is_first);
  // As a batch wants it.
  void PutPromptsFirst();
  void Clear();
};

}  // namespace weir
