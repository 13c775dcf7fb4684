#include "engine/scheduler/step_account.h"

#include <algorithm>

namespace weir {

void ChargeWaits(std::span<const std::unique_ptr<Sequence>> waiting,
                 std::span<const std::unique_ptr<Sequence>> running, const StepPlan& plan, TimePoint now) {
  const auto charge = [&](const Sequence& sequence, Stage stage) {
    Ledger& ledger = sequence.stream->ledger();
    if (ledger.current() != stage) ledger.Enter(stage, now);
  };
  for (const auto& sequence : waiting) {
    charge(*sequence, sequence->num_preemptions > 0 ? Stage::kPreempted : sequence->waiting_cause);
  }
  if (plan.entries.size() != running.size()) {
    // Who runs without a part in this step waits for the budget; the plan's own are set right after.
    for (const auto& sequence : running) {
      if (!plan.Contains(sequence.get())) charge(*sequence, Stage::kQueueBudget);
    }
  }
  for (const ScheduledSequence& entry : plan.entries) charge(*entry.sequence, Stage::kSchedule);
}

void ChargeStep(const StepPlan& plan, const CostModel& cost, const StepTimes& times) {
  const Duration actual = times.forward_ended - times.forward_started;
  const int64_t whole_ns = (times.ended - times.started).count();
  int64_t num_shared_tokens = 0;
  Duration shared{};
  for (const ScheduledSequence& entry : plan.entries) {
    const Sequence& sequence = *entry.sequence;
    Ledger& ledger = sequence.stream->ledger();
    const Stage stage = sequence.was_preempted ? Stage::kRecompute
                        : entry.is_decode      ? Stage::kDecode
                                               : Stage::kPrefill;
    ledger.Enter(stage, times.forward_started);
    Duration stall{};
    const int own_prefill = entry.is_decode ? 0 : entry.num_scheduled_tokens;
    if (const int others_prefill = plan.num_prefill_tokens - own_prefill; others_prefill > 0) {
      // Modelled: the step without the others' prompts, by its prediction.
      const int64_t own_kv =
          entry.is_decode ? 0 : KvTokensRead(sequence.num_computed_tokens, entry.num_scheduled_tokens);
      const Duration without = cost.Predict(
          plan.num_tokens - others_prefill, plan.kv_tokens_read - plan.prefill_kv_tokens_read + own_kv,
          own_prefill > 0 ? StepKind::kWithPrompts : StepKind::kDecodesOnly);
      if (without > Duration::zero()) stall = std::clamp(actual - without, Duration::zero(), actual);
    }
    ledger.EnterSplit(Stage::kSample, times.forward_ended, Stage::kStallPrefill, stall);
    ledger.Enter(Stage::kSchedule, times.ended);
    // The rest of the division goes to those who come later, so that nothing of the step is nobody's.
    num_shared_tokens += entry.num_scheduled_tokens;
    const Duration until_here(whole_ns * num_shared_tokens / plan.num_tokens);
    ledger.engine_share += until_here - shared;
    shared = until_here;
    ++ledger.num_steps;
    ledger.batch_sum += static_cast<double>(plan.entries.size());
  }
}

}  // namespace weir
