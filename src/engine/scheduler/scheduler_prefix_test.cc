// The scheduler with a prefix cache: what it skips, shares, keeps and never skips.

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "engine/scheduler/continuous.h"

namespace weir {
namespace {

class PrefixHarness {
 public:
  explicit PrefixHarness(int num_blocks, int max_num_batched_tokens = 256)
      : pool_(num_blocks),
        cache_(&pool_),
        scheduler_({.max_num_seqs = 8, .max_num_batched_tokens = max_num_batched_tokens}, &pool_, &cost_,
                   &cache_) {}
  ~PrefixHarness() {
    while (!scheduler_.empty())
      Finish(scheduler_.running().empty() ? scheduler_.waiting().front().get()
                                          : scheduler_.running().front().get());
    EXPECT_EQ(pool_.num_free(), pool_.num_blocks());
  }

  // Prompts count up from `first`, so those with the same first token begin alike.
  Sequence* Add(int first, int num_prompt, uint64_t salt = 0, bool wants_scores = false) {
    auto sequence = std::make_unique<Sequence>();
    sequence->number = next_number_++;
    sequence->num_prompt_tokens = num_prompt;
    sequence->tokens.resize(num_prompt);
    std::iota(sequence->tokens.begin(), sequence->tokens.end(), first);
    sequence->request.prompt_logprobs = wants_scores;
    sequence->request.owner.salt = salt;
    sequence->block_hashes = cache_.HashBlocks(sequence->request.owner.salt, sequence->tokens);
    return scheduler_.Add(std::move(sequence));
  }
  const StepPlan& Step() {
    scheduler_.Schedule(TimePoint{}, &plan_);
    EXPECT_EQ(scheduler_.CheckInvariants(), "");
    EXPECT_EQ(scheduler_.CheckPlan(plan_), "");
    scheduler_.Commit(plan_, std::vector<int32_t>(plan_.entries.size(), 7));
    EXPECT_EQ(scheduler_.CheckInvariants(), "");
    return plan_;
  }
  int Scheduled(const Sequence* sequence) const {
    for (const ScheduledSequence& entry : plan_.entries) {
      if (entry.sequence == sequence) return entry.num_scheduled_tokens;
    }
    return 0;
  }
  void Finish(Sequence* sequence) { scheduler_.Remove(sequence); }
  BlockPool& pool() { return pool_; }
  const StepPlan& plan() const { return plan_; }

 private:
  BlockPool pool_;
  CostModel cost_;
  PrefixCache cache_;
  ContinuousScheduler scheduler_;
  StepPlan plan_;
  uint64_t next_number_ = 0;
};

TEST(SchedulerPrefixTest, ComputesOnlyWhatNoEarlierPromptHasComputed) {
  PrefixHarness h(40);
  Sequence* first = h.Add(0, 100);
  h.Step();
  EXPECT_EQ(h.Scheduled(first), 100);
  EXPECT_EQ(h.plan().num_queried_tokens, 100);
  EXPECT_EQ(h.plan().num_cached_tokens, 0);
  Sequence* second = h.Add(0, 150);
  h.Step();
  EXPECT_EQ(second->num_cached_tokens, 96);
  EXPECT_EQ(h.Scheduled(second), 54);
  EXPECT_EQ(h.plan().num_queried_tokens, 150);
  EXPECT_EQ(h.plan().num_cached_tokens, 96);
  h.Finish(first);
  h.Finish(second);
  Sequence* third = h.Add(0, 150);
  h.Step();
  EXPECT_EQ(third->num_cached_tokens, 144);
}

TEST(SchedulerPrefixTest, AlwaysComputesThePromptsLastToken) {
  PrefixHarness h(40);
  Sequence* first = h.Add(0, 64);
  h.Step();
  Sequence* second = h.Add(0, 64);
  const StepPlan& plan = h.Step();
  EXPECT_EQ(second->num_cached_tokens, 48);
  EXPECT_EQ(h.Scheduled(second), 16);
  for (const ScheduledSequence& entry : plan.entries) EXPECT_TRUE(entry.samples);
  // Then both hold the same four blocks, and one each for what they generate.
  h.Step();
  EXPECT_EQ(h.pool().num_used(), 4 + 2);
  EXPECT_EQ(first->table.blocks()[3], second->table.blocks()[3]);
}

TEST(SchedulerPrefixTest, KeepsNoGeneratedToken) {
  PrefixHarness h(40);
  Sequence* first = h.Add(0, 30);
  for (int i = 0; i < 40; ++i) h.Step();
  EXPECT_EQ(first->num_kept_blocks, 1);
  EXPECT_GE(first->table.blocks().size(), 4u);
}

TEST(SchedulerPrefixTest, SharesNothingWithAnotherSalt) {
  PrefixHarness h(40);
  h.Add(0, 64, 1);
  h.Step();
  Sequence* other = h.Add(0, 64, 2);
  h.Step();
  EXPECT_EQ(other->num_cached_tokens, 0);
  EXPECT_EQ(h.Scheduled(other), 64);
}

TEST(SchedulerPrefixTest, ComputesTheWholePromptOfWhoWantsItsScores) {
  PrefixHarness h(40);
  h.Add(0, 30);
  h.Step();
  Sequence* scored = h.Add(0, 30, 0, /*wants_scores=*/true);
  h.Step();
  EXPECT_EQ(scored->num_cached_tokens, 0);
  EXPECT_EQ(h.Scheduled(scored), 30);
  EXPECT_EQ(h.plan().num_queried_tokens, 0);
}

TEST(SchedulerPrefixTest, StartsWithSharedBlocksWhereItsOwnWouldNotFit) {
  PrefixHarness h(10);
  h.Add(0, 16 * 6);
  h.Step();
  Sequence* stranger = h.Add(5000, 16 * 6);
  Sequence* sibling = h.Add(0, 16 * 6 + 8);
  h.Step();
  EXPECT_EQ(stranger->state, SequenceState::kWaiting);
  EXPECT_EQ(stranger->num_computed_tokens, 0);
  EXPECT_EQ(sibling->state, SequenceState::kRunning);
  EXPECT_EQ(h.Scheduled(sibling), 8);
}

TEST(SchedulerPrefixTest, CountsIdleBlocksItTakesAsTaken) {
  PrefixHarness h(10);
  Sequence* first = h.Add(0, 16 * 6);
  h.Step();
  h.Finish(first);
  Sequence* holder = h.Add(5000, 16 * 3);  // takes the empty ones, with the next token 4
  h.Step();
  ASSERT_EQ(holder->state, SequenceState::kRunning);
  Sequence* sibling = h.Add(0, 16 * 7);  // 6 of them idle, but with the reserve nothing is left
  h.Step();
  EXPECT_EQ(sibling->state, SequenceState::kWaiting);
  EXPECT_EQ(sibling->waiting_cause, Stage::kQueueKv);
}

TEST(SchedulerPrefixTest, FindsItsOwnPromptAgainAfterAPreemption) {
  PrefixHarness h(8);
  Sequence* oldest = h.Add(0, 16 * 3);
  Sequence* victim = h.Add(1000, 16 * 2 + 8);
  int steps = 0;
  for (; victim->num_preemptions == 0 && steps < 100; ++steps) h.Step();
  ASSERT_EQ(victim->num_preemptions, 1);
  const int num_tokens = victim->num_tokens();
  const int64_t lost = victim->num_recomputed_tokens;
  h.Finish(oldest);
  h.Step();
  EXPECT_EQ(victim->state, SequenceState::kRunning);
  EXPECT_EQ(victim->num_cached_tokens, 0) << "of its first run";
  const int saved = static_cast<int>(lost - victim->num_recomputed_tokens);
  EXPECT_GE(saved, 16);
  EXPECT_EQ(h.Scheduled(victim), 16 * 2 + 8 - saved);
  h.Step();
  EXPECT_EQ(victim->num_tokens(), num_tokens + 1);
}

TEST(SchedulerPrefixTest, RemovingASequenceInTheMiddleOfItsPromptLosesNoBlock) {
  PrefixHarness h(40, /*max_num_batched_tokens=*/24);
  Sequence* first = h.Add(0, 100);
  h.Step();
  EXPECT_EQ(first->num_computed_tokens, 24);
  h.Finish(first);
  EXPECT_EQ(h.pool().num_free(), 40);
  Sequence* second = h.Add(0, 100);
  h.Step();
  EXPECT_EQ(second->num_cached_tokens, 16);
}

}  // namespace
}  // namespace weir
