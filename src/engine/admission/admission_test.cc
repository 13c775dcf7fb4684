#include "engine/admission/admission.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

AdmissionLimits Limits() {
  return {.bounded = true,
          .max_num_queued_reqs = 16,
          .max_num_queued_tokens = 10000,
          .ttft_objective = seconds(10)};
}

// Four slots, each held for two seconds; a thousand prompt tokens per second.
LoadSnapshot Busy(int num_running, int num_waiting, int64_t queued_tokens) {
  LoadSnapshot load;
  load.num_running = num_running;
  load.num_waiting = num_waiting;
  load.queued_tokens = queued_tokens;
  load.free_blocks = 100;
  load.total_blocks = 200;
  load.max_num_seqs = 4;
  load.prefill_tokens_per_s = 1000;
  load.request_seconds = 2;
  load.step_seconds = 0.01;
  return load;
}

TEST(AdmissionTest, PredictsNoWaitForAnIdleEngine) {
  EXPECT_EQ(PredictWait(Busy(0, 0, 0), 5000), Duration::zero());
}

TEST(AdmissionTest, PredictsTheRestOfTheStepWhileSlotsAreFree) {
  EXPECT_EQ(PredictWait(Busy(2, 0, 0), 100), milliseconds(10));
}

TEST(AdmissionTest, PredictsTheTimeUntilItsTurnForASlot) {
  // Full, two ahead: the third slot that becomes free is ours, one becomes free every half second.
  EXPECT_NEAR(ToSeconds(PredictWait(Busy(4, 2, 200), 100)), 0.01 + 1.5, 1e-6);
}

TEST(AdmissionTest, PredictsTheEndOfAWaveThatBeganTogether) {
  LoadSnapshot load = Busy(4, 0, 0);
  load.token_seconds_full = 0.01;
  load.outputs.assign(4, {.most_left = 600, .is_certain = true});
  EXPECT_NEAR(ToSeconds(PredictWait(load, 100)), 0.01 + 6, 1e-6);
  load.outputs[2].most_left = 50;
  EXPECT_NEAR(ToSeconds(PredictWait(load, 100)), 0.01 + 0.5, 1e-6);
}

TEST(AdmissionTest, PredictsThePrefillOfThoseAhead) {
  EXPECT_EQ(PredictWait(Busy(1, 2, 3000), 100), milliseconds(10 + 3000));
}

TEST(AdmissionTest, PredictsTheTimeUntilBlocksAreFree) {
  LoadSnapshot load = Busy(1, 0, 0);
  load.free_blocks = 0;
  EXPECT_EQ(PredictWait(load, 50 * 16), milliseconds(10 + 500));  // a quarter of the used blocks
}

TEST(AdmissionTest, IdleEngineRefusesNothingWhateverTheBoundsSay) {
  AdmissionLimits limits = Limits();
  limits.max_num_queued_reqs = 0;
  limits.max_num_queued_tokens = 0;
  EXPECT_FALSE(Decide(limits, Busy(0, 0, 0), 1000000, std::nullopt));
}

TEST(AdmissionTest, IdleEngineRefusesADeadlineItCannotMeet) {
  const auto refusal = Decide(Limits(), Busy(0, 0, 0), 3000, seconds(2));
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->reason, "deadline_unmeetable");
  EXPECT_FALSE(Decide(Limits(), Busy(0, 0, 0), 3000, seconds(4)));
}

TEST(AdmissionTest, RefusesAtTheBoundOnRequests) {
  EXPECT_FALSE(Decide(Limits(), Busy(4, 15, 100), 10, std::nullopt));
  const auto refusal = Decide(Limits(), Busy(4, 16, 100), 10, std::nullopt);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->reason, "queue_full");
  EXPECT_EQ(refusal->retry_after, milliseconds(500));
}

TEST(AdmissionTest, FreeSlotsAreNotCountedAsQueue) {
  AdmissionLimits limits = Limits();
  limits.max_num_queued_reqs = 0;
  EXPECT_FALSE(Decide(limits, Busy(1, 2, 100), 10, std::nullopt));
  EXPECT_TRUE(Decide(limits, Busy(1, 3, 100), 10, std::nullopt));
  EXPECT_TRUE(Decide(limits, Busy(4, 0, 0), 10, std::nullopt));
}

TEST(AdmissionTest, RefusesAtTheBoundOnTokens) {
  EXPECT_FALSE(Decide(Limits(), Busy(1, 1, 9000), 900, std::nullopt));
  const auto refusal = Decide(Limits(), Busy(1, 1, 9000), 3000, std::nullopt);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->reason, "queue_full");
  EXPECT_EQ(refusal->retry_after, seconds(2));
}

TEST(AdmissionTest, RefusesAWaitBeyondTheObjective) {
  AdmissionLimits limits = Limits();
  limits.ttft_objective = seconds(3);
  const auto refusal = Decide(limits, Busy(1, 1, 5000), 100, std::nullopt);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->reason, "ttft_unmeetable");
  EXPECT_EQ(refusal->retry_after, milliseconds(2110)) << "5.01 s of waiting and 0.1 s of its own prompt";
  // Its own prompt counts, up to half of the objective.
  EXPECT_FALSE(Decide(limits, Busy(1, 1, 2500), 400, std::nullopt));
  EXPECT_TRUE(Decide(limits, Busy(1, 1, 2500), 600, std::nullopt));
  EXPECT_FALSE(Decide(limits, Busy(1, 1, 1400), 1600, std::nullopt));
  EXPECT_TRUE(Decide(limits, Busy(1, 1, 1600), 1600, std::nullopt));
}

TEST(AdmissionTest, RefusesADeadlineThatTheQueueUsesUp) {
  EXPECT_FALSE(Decide(Limits(), Busy(1, 1, 2000), 1000, seconds(4)));
  const auto refusal = Decide(Limits(), Busy(1, 1, 2000), 1000, seconds(3));
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->reason, "deadline_unmeetable");
}

TEST(AdmissionTest, PredictsTheAnswersTimeByHowManyShareTheSteps) {
  LoadSnapshot load = Busy(0, 0, 0);
  EXPECT_EQ(PredictDecode(load, 101), Duration::zero()) << "nothing is known";
  load.token_seconds_alone = 0.01;
  load.token_seconds_full = 0.04;
  EXPECT_EQ(PredictDecode(load, 101), milliseconds(1150)) << "alone, and a margin";
  EXPECT_EQ(PredictDecode(load, 1), Duration::zero()) << "the first token has a time of its own";
  EXPECT_EQ(PredictDecode(load, 0), Duration::zero());
  load.num_running = 1;
  EXPECT_NEAR(ToSeconds(PredictDecode(load, 101)), 2.3, 1e-6) << "one of three others";
  load.num_running = 4;
  load.num_waiting = 9;
  EXPECT_EQ(PredictDecode(load, 101), milliseconds(4600));
}

TEST(AdmissionTest, WhoCameAMomentAgoIsExpectedBack) {
  LoadSnapshot load = Busy(0, 0, 0);
  load.token_seconds_alone = 0.01;
  load.token_seconds_full = 0.04;
  load.most_of_late = Fade(24, Duration::zero());
  EXPECT_EQ(PredictDecode(load, 101), milliseconds(4600));
  load.most_of_late = Fade(24, seconds(60));
  EXPECT_LT(PredictDecode(load, 101), milliseconds(1200));
}

TEST(AdmissionTest, OfAReservedRequestOnlyTheDeadlineIsTestedAgain) {
  const LoadSnapshot load = Busy(4, 16, 2000);  // the queue is full
  const QueueStanding last{.num_ahead = 16, .tokens_ahead = 2000};
  EXPECT_FALSE(DecideDeadline(load, last, 1000, seconds(11)));
  const auto refusal = DecideDeadline(load, last, 1000, seconds(9));
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->reason, "deadline_unmeetable");
  EXPECT_TRUE(DecideDeadline(Busy(0, 0, 0), {}, 10, -seconds(1))) << "its answer alone takes too long";
}

TEST(AdmissionTest, HoldsTheRetryTimeInItsRange) {
  LoadSnapshot slow = Busy(4, 16, 100);
  slow.request_seconds = 10000;
  EXPECT_EQ(Decide(Limits(), slow, 10, std::nullopt)->retry_after, seconds(60));
  LoadSnapshot fast = Busy(4, 16, 100);
  fast.request_seconds = 0.001;
  EXPECT_EQ(Decide(Limits(), fast, 10, std::nullopt)->retry_after, milliseconds(100));
}

TEST(AdmissionTest, UnboundedQueueTakesWhatABoundedOneRefuses) {
  AdmissionLimits limits = Limits();
  limits.bounded = false;
  EXPECT_FALSE(Decide(limits, Busy(4, 1000, 1000000), 100000, milliseconds(1)));
  EXPECT_TRUE(Decide(limits, Busy(4, kMaxQueuedInAnyMode, 0), 1, std::nullopt));
}

TEST(AdmissionTest, KnowsNoRatesBeforeTheFirstStep) {
  LoadSnapshot load = Busy(1, 1, 100000);
  load.prefill_tokens_per_s = 0;
  load.request_seconds = 0;
  AdmissionLimits limits = Limits();
  limits.max_num_queued_tokens = 1000000;
  EXPECT_FALSE(Decide(limits, load, 100, seconds(1)));
}

TEST(AdmissionTest, PredictsTheRestOfTheStepThatRunsAndNotItsPromptsOnceMore) {
  LoadSnapshot load = Busy(1, 2, 3000);
  load.rest_of_step = 0.004;
  load.tokens_in_step = 1000;
  EXPECT_EQ(PredictWait(load, 100), milliseconds(4 + 2000));
}

TEST(AdmissionTest, TellsTheRefusedTimesOfTheirOwnAtThePaceOfTheEngine) {
  RetryLine line;
  const TimePoint now(seconds(1000));
  const LoadSnapshot load = Busy(4, 16, 100);  // gets through two requests per second
  const Refusal refusal{.reason = "queue_full", .retry_after = milliseconds(500)};
  EXPECT_EQ(line.Join(refusal, load, 10, now), milliseconds(500)) << "the first waits for its test alone";
  Duration last = milliseconds(500);
  for (int i = 0; i < 60; ++i) {
    const Duration told = line.Join(refusal, load, 10, now);
    EXPECT_GE(told - last, milliseconds(std::min<int64_t>(500, (seconds(60) - last) / milliseconds(1))));
    last = told;
  }
  EXPECT_GT(last, seconds(30));
  EXPECT_LE(last, seconds(60));
  EXPECT_EQ(line.Join(refusal, load, 10, now + seconds(120)), milliseconds(500)) << "the line is over";
}

TEST(AdmissionTest, WhoFindsTheLineTooLongIsToldATimeOfItsOwnAllTheSame) {
  const LoadSnapshot load = Busy(4, 16, 100);
  const TimePoint now(seconds(1));
  RetryLine line;
  const Refusal refusal{.reason = "queue_full", .retry_after = milliseconds(500)};
  for (int i = 0; i < 200; ++i) line.Join(refusal, load, 10, now);
  int num_in_eight_seconds[6] = {};
  for (int i = 0; i < 120; ++i) {
    const Duration told = line.Join(refusal, load, 10, now);
    EXPECT_GE(told, seconds(16));
    ASSERT_LT(told, seconds(48));
    ++num_in_eight_seconds[told / seconds(8)];
  }
  for (int i = 2; i < 6; ++i) EXPECT_NEAR(num_in_eight_seconds[i], 30, 2);
  const Refusal later{.reason = "ttft_unmeetable", .retry_after = seconds(55)};
  EXPECT_EQ(line.Join(later, load, 10, now), seconds(55)) << "not before its test can pass";
}

}  // namespace
}  // namespace weir
