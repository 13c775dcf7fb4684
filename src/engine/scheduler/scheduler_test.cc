#include "engine/scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "engine/scheduler/continuous.h"
#include "engine/scheduler/sequential.h"
#include "engine/scheduler/waiting_order.h"

namespace weir {
namespace {

TimePoint At(int64_t ms) { return TimePoint(std::chrono::milliseconds(ms)); }

// A scheduler over a small pool whose steps always sample token 7.
template <typename Policy>
class Harness {
 public:
  Harness(SchedulerLimits limits, int num_blocks) : pool_(num_blocks), scheduler_(limits, &pool_, &cost_) {}
  ~Harness() {
    while (!scheduler_.empty())
      Finish(scheduler_.running().empty() ? scheduler_.waiting().front().get()
                                          : scheduler_.running().front().get());
    EXPECT_EQ(pool_.num_free(), pool_.num_blocks());
  }

  Sequence* Add(int num_prompt, RequestClass service_class = RequestClass::kDefault) {
    auto sequence = std::make_unique<Sequence>();
    sequence->number = next_number_++;
    sequence->num_prompt_tokens = num_prompt;
    sequence->tokens.assign(num_prompt, 1);
    sequence->request.service_class = service_class;
    return scheduler_.Add(std::move(sequence));
  }

  const StepPlan& Schedule() {
    scheduler_.Schedule(At(0), &plan_);
    EXPECT_EQ(scheduler_.CheckInvariants(), "");
    EXPECT_EQ(scheduler_.CheckPlan(plan_), "");
    return plan_;
  }
  void Commit() {
    const std::vector<int32_t> tokens(plan_.entries.size(), 7);
    scheduler_.Commit(plan_, tokens);
    EXPECT_EQ(scheduler_.CheckInvariants(), "");
  }
  const StepPlan& Step() {
    Schedule();
    Commit();
    return plan_;
  }
  void Finish(Sequence* sequence) { scheduler_.Remove(sequence); }

  int Scheduled(const Sequence* sequence) const {
    for (const ScheduledSequence& entry : plan_.entries) {
      if (entry.sequence == sequence) return entry.num_scheduled_tokens;
    }
    return 0;
  }

  CostModel& cost() { return cost_; }
  BlockPool& pool() { return pool_; }
  Policy& scheduler() { return scheduler_; }

 private:
  BlockPool pool_;
  CostModel cost_;
  Policy scheduler_;
  StepPlan plan_;
  uint64_t next_number_ = 0;
};

using Continuous = Harness<ContinuousScheduler>;
using Sequential = Harness<SequentialScheduler>;

SchedulerLimits Limits(int max_num_seqs, int max_num_batched_tokens) {
  return {.max_num_seqs = max_num_seqs, .max_num_batched_tokens = max_num_batched_tokens};
}

TEST(SchedulerTest, SplitsAPromptIntoChunksOfTheTokenBudget) {
  Continuous h(Limits(4, 64), 100);
  const Sequence* s = h.Add(150);
  h.Step();
  EXPECT_EQ(h.Scheduled(s), 64);
  h.Step();
  EXPECT_EQ(h.Scheduled(s), 64);
  h.Schedule();
  EXPECT_EQ(h.Scheduled(s), 22);
  h.Commit();
  EXPECT_EQ(s->num_output_tokens(), 1);
  EXPECT_TRUE(s->is_decode());
}

TEST(SchedulerTest, SamplesOnlyWhereTheSequenceEnds) {
  Continuous h(Limits(4, 64), 100);
  h.Add(65);
  EXPECT_FALSE(h.Step().entries[0].samples);
  EXPECT_TRUE(h.Step().entries[0].samples);
}

TEST(SchedulerTest, StartsTheNewestFirstWhenToldTo) {
  Continuous h(Limits(1, 64), 100);
  Sequence* running = h.Add(10);
  h.Step();
  const Sequence* older = h.Add(10);
  const Sequence* newer = h.Add(10);
  h.scheduler().set_newest_first(true);
  h.Finish(running);
  h.Step();
  EXPECT_EQ(h.Scheduled(newer), 10);
  EXPECT_EQ(h.Scheduled(older), 0);
  EXPECT_EQ(h.scheduler().OldestWaiting(), older->arrived);
}

TEST(SchedulerTest, GivesDecodesTheirTokenBeforeAnyPrefill) {
  Continuous h(Limits(4, 32), 100);
  const Sequence* first = h.Add(10);
  const Sequence* second = h.Add(10);
  h.Step();
  const Sequence* longer = h.Add(100);
  h.Step();
  EXPECT_EQ(h.Scheduled(first), 1);
  EXPECT_EQ(h.Scheduled(second), 1);
  EXPECT_EQ(h.Scheduled(longer), 30);
}

TEST(SchedulerTest, HoldsPrefillInsideTheTimeBudget) {
  Continuous h(Limits(4, 512), 100);
  for (int tokens : {64, 128, 256, 512}) h.cost().Observe(tokens, 0, FromSeconds(tokens * 0.001));
  const Sequence* s = h.Add(500);
  h.Step();
  EXPECT_GE(h.Scheduled(s), 40);
  EXPECT_LE(h.Scheduled(s), 55);
}

TEST(SchedulerTest, TakesThreeTimesTheShortestStepWithAPromptWhenNoneKeepsTheObjective) {
  Continuous h(Limits(4, 512), 100);
  // A sweep of 600 ms for the first token of a prompt, 25 ms for each.
  for (int tokens : {16, 20, 40, 50, 80, 100, 160, 200})
    h.cost().Observe(tokens, 0, FromSeconds(0.6 + 0.025 * tokens));
  const Sequence* first = h.Add(100);
  const Sequence* second = h.Add(100);
  h.Step();
  EXPECT_NEAR(h.Scheduled(first), 96, 2);  // 3 x (0.6 + 16 x 0.025) s
  EXPECT_EQ(h.Scheduled(second), 0);
  EXPECT_EQ(second->waiting_cause, Stage::kQueueBudget);
}

TEST(SchedulerTest, GivesTheFirstPrefillSixteenTokensWhenTheTimeBudgetIsGone) {
  Continuous h(Limits(4, 512), 100);
  for (int tokens : {1, 16, 64, 256}) h.cost().Observe(tokens, 0, FromSeconds(0.010));
  // What a prompt reads of itself is priced so high that no piece fits the budget.
  h.cost().SeedKvCost(100, FromSeconds(100.010), FromSeconds(0.010));
  const Sequence* first = h.Add(100);
  const Sequence* second = h.Add(100);
  h.Step();
  EXPECT_EQ(h.Scheduled(first), 16);
  EXPECT_EQ(h.Scheduled(second), 0);
  EXPECT_EQ(second->waiting_cause, Stage::kQueueBudget);
}

TEST(SchedulerTest, NeverRefusesADecodeForTheTimeBudget) {
  Continuous h(Limits(4, 512), 100);
  const Sequence* first = h.Add(5);
  h.Step();
  for (int tokens : {1, 16, 64, 256}) h.cost().Observe(tokens, 0, FromSeconds(1.0));
  h.Schedule();
  EXPECT_EQ(h.Scheduled(first), 1);
}

TEST(SchedulerTest, NamesTheSlotAsTheCauseWhenAllAreTaken) {
  Continuous h(Limits(2, 64), 100);
  h.Add(5);
  h.Add(5);
  const Sequence* third = h.Add(5);
  h.Step();
  EXPECT_EQ(third->state, SequenceState::kWaiting);
  EXPECT_EQ(third->waiting_cause, Stage::kQueueSlot);
}

TEST(SchedulerTest, SkipsAYoungSequenceThatFindsNoBlocks) {
  Continuous h(Limits(8, 256), 10);
  const Sequence* running = h.Add(64);  // 4 blocks
  h.Step();
  const Sequence* large = h.Add(16 * 7);
  const Sequence* small = h.Add(16 * 2);
  h.Step();
  EXPECT_EQ(running->state, SequenceState::kRunning);
  EXPECT_EQ(large->state, SequenceState::kWaiting);
  EXPECT_EQ(large->waiting_cause, Stage::kQueueKv);
  EXPECT_EQ(small->state, SequenceState::kRunning);
  EXPECT_EQ(large->num_overtaken, 1);
}

TEST(SchedulerTest, LetsNobodyOvertakeAnAgedSequence) {
  Continuous h(Limits(8, 256), 10);
  h.Add(64);
  h.Step();
  Sequence* large = h.Add(16 * 7);
  for (int i = 0; i < kMaxOvertaken; ++i) {
    Sequence* small = h.Add(8);
    h.Step();
    ASSERT_EQ(small->state, SequenceState::kRunning) << i;
    h.Finish(small);
  }
  EXPECT_EQ(large->num_overtaken, kMaxOvertaken);
  Sequence* late = h.Add(8);
  h.Step();
  EXPECT_EQ(late->state, SequenceState::kWaiting);
  EXPECT_EQ(late->waiting_cause, Stage::kQueueKv);
  EXPECT_EQ(large->num_overtaken, kMaxOvertaken);
}

TEST(SchedulerTest, KeepsTwoPercentOfTheBlocksFreeWhileAnythingRuns) {
  Continuous h(Limits(8, 4096), 100);
  const Sequence* first = h.Add(16 * 50);
  const Sequence* second = h.Add(16 * 49);
  h.Step();
  EXPECT_EQ(first->state, SequenceState::kRunning);
  EXPECT_EQ(second->state, SequenceState::kWaiting);  // one block would stay free, two must
  EXPECT_EQ(second->waiting_cause, Stage::kQueueKv);
}

TEST(SchedulerTest, GivesTheWholePoolToASequenceAlone) {
  Continuous h(Limits(8, 4096), 100);
  const Sequence* s = h.Add(16 * 100);
  h.Step();
  EXPECT_EQ(s->state, SequenceState::kRunning);
  EXPECT_EQ(h.pool().num_free(), 0);
}

TEST(SchedulerTest, PreemptsLeastComputedWhenNoBlockIsFree) {
  Continuous h(Limits(8, 256), 7);
  Sequence* oldest = h.Add(2 * 16);  // with its next token 3 blocks
  Sequence* middle = h.Add(2 * 16);
  Sequence* youngest = h.Add(16);
  h.Step();  // 5 blocks
  ASSERT_EQ(youngest->state, SequenceState::kRunning);
  h.Step();  // 8 needed, 7 there
  EXPECT_EQ(oldest->state, SequenceState::kRunning);
  EXPECT_EQ(middle->state, SequenceState::kRunning);
  EXPECT_EQ(youngest->state, SequenceState::kWaiting);
  EXPECT_TRUE(youngest->was_preempted);
  EXPECT_EQ(youngest->num_recomputed_tokens, 16);
  EXPECT_EQ(youngest->num_computed_tokens, 0);
  EXPECT_TRUE(youngest->table.blocks().empty());
  EXPECT_EQ(youngest->num_tokens(), 17);  // its output is kept
}

TEST(SchedulerTest, PreemptsTheLowerClassFirst) {
  Continuous h(Limits(8, 256), 7);
  h.Add(2 * 16);
  Sequence* important = h.Add(16, RequestClass::kInteractive);
  Sequence* cheap = h.Add(2 * 16, RequestClass::kSheddable);
  h.Step();
  h.Step();
  EXPECT_EQ(important->state, SequenceState::kRunning);
  EXPECT_EQ(cheap->state, SequenceState::kWaiting);
}

TEST(SchedulerTest, NeverPreemptsTheOldest) {
  Continuous h(Limits(8, 256), 4);
  Sequence* oldest = h.Add(16);
  Sequence* other = h.Add(16 * 2, RequestClass::kInteractive);
  for (int i = 0; i < 40; ++i) {
    h.Step();
    ASSERT_EQ(oldest->state, SequenceState::kRunning);
    ASSERT_EQ(oldest->num_preemptions, 0);
  }
  EXPECT_EQ(other->state, SequenceState::kWaiting);
}

TEST(SchedulerTest, ServesPreemptedBeforeFreshOnes) {
  Continuous h(Limits(8, 256), 7);
  Sequence* first = h.Add(2 * 16);
  h.Add(2 * 16);
  Sequence* victim = h.Add(16);
  h.Step();
  const Sequence* fresh = h.Add(2 * 16);
  h.Step();
  ASSERT_EQ(victim->state, SequenceState::kWaiting);
  h.Finish(first);
  h.Step();
  EXPECT_EQ(victim->state, SequenceState::kRunning);
  EXPECT_EQ(fresh->state, SequenceState::kWaiting);
}

TEST(SchedulerTest, RecomputesPromptAndOutputAfterPreemption) {
  Continuous h(Limits(8, 256), 7);
  Sequence* first = h.Add(2 * 16);
  h.Add(2 * 16);
  Sequence* victim = h.Add(16);
  h.Step();
  h.Step();
  ASSERT_TRUE(victim->was_preempted);
  h.Finish(first);
  h.Step();
  EXPECT_EQ(h.Scheduled(victim), 16);  // the prompt, and what follows it in a step of its own
  h.Step();
  EXPECT_EQ(h.Scheduled(victim), 1);
  EXPECT_FALSE(victim->was_preempted);
  EXPECT_EQ(victim->num_output_tokens(), 2);
}

TEST(SchedulerTest, OfFlowsThatWereServedTheSameTheHigherClassGoesFirst) {
  Continuous h(Limits(1, 64), 100);
  Sequence* running = h.Add(4);
  h.Step();
  const Sequence* plain = h.Add(4, RequestClass::kDefault);
  const Sequence* urgent = h.Add(4, RequestClass::kInteractive);
  h.Finish(running);
  h.Step();
  EXPECT_EQ(urgent->state, SequenceState::kRunning);
  EXPECT_EQ(plain->state, SequenceState::kWaiting);
}

TEST(SchedulerTest, ExpiresOnlyWhatHasNotBegun) {
  Continuous h(Limits(1, 64), 100);
  Sequence* running = h.Add(4);
  running->latest_first_token = At(10);
  h.Step();
  Sequence* queued = h.Add(4);
  queued->latest_first_token = At(20);
  EXPECT_TRUE(h.scheduler().Expire(At(20)).empty());
  const auto expired = h.scheduler().Expire(At(21));
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(expired[0].get(), queued);
  EXPECT_EQ(running->state, SequenceState::kRunning);
}

TEST(SchedulerTest, ExpiresWhatItsOwnPrefillWouldMakeLate) {
  Continuous h(Limits(1, 64), 100);
  for (int i = 0; i < 5; ++i) h.cost().Observe(64, 0, FromSeconds(0.064));
  Sequence* queued = h.Add(640);  // 640 ms of prefill
  queued->latest_first_token = At(1000);
  EXPECT_TRUE(h.scheduler().Expire(At(300)).empty());
  EXPECT_EQ(h.scheduler().Expire(At(400)).size(), 1u);
}

TEST(SchedulerTest, BoundsThePromptRowsThatWantLogits) {
  SchedulerLimits limits = Limits(4, 256);
  limits.max_prompt_logit_rows = 20;
  Continuous h(limits, 100);
  Sequence* first = h.Add(50);
  Sequence* second = h.Add(50);
  const Sequence* plain = h.Add(50);
  first->request.prompt_logprobs = true;
  second->request.prompt_logprobs = true;
  h.Step();
  EXPECT_EQ(h.Scheduled(first), 20);
  EXPECT_EQ(h.Scheduled(second), 0);
  EXPECT_EQ(h.Scheduled(plain), 50);  // it needs none of those rows
}

TEST(SchedulerTest, SequentialRunsOneRequestAfterAnotherInArrivalOrder) {
  Sequential h(Limits(8, 64), 100);
  Sequence* first = h.Add(100, RequestClass::kBatch);
  Sequence* second = h.Add(10, RequestClass::kInteractive);
  for (int i = 0; i < 5; ++i) {
    const StepPlan& plan = h.Step();
    ASSERT_EQ(plan.entries.size(), 1u);
    ASSERT_EQ(plan.entries[0].sequence, first);
    ASSERT_EQ(second->waiting_cause, Stage::kQueueSlot);
  }
  EXPECT_EQ(first->num_output_tokens(), 4);
  h.Finish(first);
  EXPECT_EQ(h.Step().entries[0].sequence, second);
}

}  // namespace
}  // namespace weir
