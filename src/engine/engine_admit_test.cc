// What is accepted, refused, cancelled and ended.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <thread>

#include "engine/engine.h"
#include "tests/support/engine_harness.h"

namespace weir {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(EngineTest, CancelFreesTheBlocksWithinOneStep) {
  const auto engine = MakeEngine(Options());
  const auto running = MustSubmit(*engine, Greedy(1, 40, 50));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(engine->Step());
  EXPECT_LT(engine->num_free_kv_blocks(), engine->num_kv_blocks());
  running->Cancel();
  engine->Step();
  EXPECT_EQ(engine->num_free_kv_blocks(), engine->num_kv_blocks());
  EXPECT_TRUE(engine->idle());
  Answer answer;
  Read(*running, &answer);
  EXPECT_EQ(answer.finish, FinishReason::kError);
  EXPECT_EQ(answer.error.code(), StatusCode::kCancelled);
  EXPECT_FALSE(engine->Step());
}

TEST(EngineTest, CancelsWhatStillWaits) {
  EngineOptions options = Options();
  options.max_num_seqs = 1;
  const auto engine = MakeEngine(options);
  const auto running = MustSubmit(*engine, Greedy(1, 10, 5));
  const auto waiting = MustSubmit(*engine, Greedy(2, 10, 5));
  engine->Step();
  waiting->Cancel();
  engine->Step();
  Answer answer;
  Read(*waiting, &answer);
  EXPECT_EQ(answer.error.code(), StatusCode::kCancelled);
  EXPECT_TRUE(answer.tokens.empty());
  EXPECT_EQ(RunAll(*engine, {running})[0].finish, FinishReason::kLength);
}

TEST(EngineTest, RefusesWhatCanNeverFit) {
  EngineOptions options = Options();
  options.kv_cache_bytes = 4 * kBytesPerBlock;  // 64 tokens
  const auto engine = MakeEngine(options);
  const auto too_long = engine->Submit(Reservation(), Greedy(1, 50, 20), nullptr);
  ASSERT_FALSE(too_long.ok());
  EXPECT_EQ(too_long.refused.status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(too_long.refused.status.reason(), "context_length_exceeded");
  EXPECT_THAT(too_long.refused.status.message(), testing::HasSubstr("50"));
  EXPECT_THAT(too_long.refused.status.message(), testing::HasSubstr("20"));
  EXPECT_THAT(too_long.refused.status.message(), testing::HasSubstr("64"));
  EXPECT_TRUE(engine->idle());
  RunAll(*engine, {MustSubmit(*engine, Greedy(1, 44, 20))});
}

TEST(EngineTest, RefusesPromptsThatAreNotTokens) {
  const auto engine = MakeEngine(Options());
  for (int32_t bad : {-1, kTinyVocabSize, std::numeric_limits<int32_t>::max()}) {
    Request request = Greedy(1, 5, 5);
    request.prompt[2] = bad;
    EXPECT_EQ(engine->Submit(Reservation(), request, nullptr).refused.status.code(),
              StatusCode::kInvalidArgument);
  }
  Request empty = Greedy(1, 5, 5);
  empty.prompt.clear();
  EXPECT_EQ(engine->Submit(Reservation(), empty, nullptr).refused.status.code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(engine->Submit(Reservation(), Greedy(1, 5, 0), nullptr).refused.status.code(),
            StatusCode::kInvalidArgument);
}

TEST(EngineTest, ReservationIsReleasedHoweverItEnds) {
  const auto engine = MakeEngine(Options());
  {
    Admitted<Reservation> held = engine->Reserve(100, 3);
    ASSERT_TRUE(held.ok());
    EXPECT_EQ(engine->Load().num_waiting, 3);
    EXPECT_EQ(engine->Load().queued_tokens, 100);
    EXPECT_FALSE(engine->idle());
    Reservation part = held.value.Split();
    EXPECT_EQ(part.num_sequences(), 1);
    EXPECT_EQ(held.value.num_sequences(), 2);
    EXPECT_EQ(engine->Load().num_waiting, 3);
    const Reservation moved = std::move(part);
    EXPECT_EQ(engine->Load().queued_tokens, 100);
  }
  EXPECT_EQ(engine->Load().num_waiting, 0);
  EXPECT_EQ(engine->Load().queued_tokens, 0);
  EXPECT_TRUE(engine->idle());
}

TEST(EngineTest, CountsAcceptedRequestsUntilTheyRun) {
  EngineOptions options = Options();
  options.max_num_seqs = 2;
  const auto engine = MakeEngine(options);
  std::vector<std::shared_ptr<RequestStream>> streams;
  for (int i = 0; i < 5; ++i) streams.push_back(MustSubmit(*engine, Greedy(i, 10, 4)));
  EXPECT_EQ(engine->Load().num_waiting, 5);
  EXPECT_EQ(engine->Load().queued_tokens, 50);
  engine->Step();
  EXPECT_EQ(engine->Load().num_running, 2);
  EXPECT_EQ(engine->Load().num_waiting, 3);
  EXPECT_EQ(engine->Load().queued_tokens, 30);
  ASSERT_EQ(engine->Load().outputs.size(), 2u);
  EXPECT_EQ(engine->Load().outputs[0].most_left, 3);
  RunAll(*engine, streams);
  EXPECT_EQ(engine->Load().num_waiting, 0);
  EXPECT_EQ(engine->Load().queued_tokens, 0);
}

// From its reservation to its end, also while its first step runs: a door that misses some lets in more than it may.
TEST(EngineTest, NobodyIsMissingFromTheLoadWhileItsFirstStepRuns) {
  const auto engine = MakeEngine(Options());
  std::vector<std::shared_ptr<RequestStream>> streams;
  for (int i = 0; i < 4; ++i) streams.push_back(MustSubmit(*engine, Greedy(i, 100, 3)));
  std::atomic<bool> is_over = false;
  int fewest = 4;
  std::atomic<int64_t> num_looks = 0;
  std::thread door([&] {
    while (!is_over) {
      const LoadSnapshot load = engine->Load();
      fewest = std::min(fewest, load.num_running + load.num_waiting);
      ++num_looks;
    }
  });
  while (num_looks == 0) std::this_thread::yield();
  engine->Step();
  is_over = true;
  door.join();
  EXPECT_EQ(fewest, 4) << "of " << num_looks << " looks";
  EXPECT_EQ(engine->Load().outputs.size(), 4u);
  RunAll(*engine, streams);
  EXPECT_TRUE(engine->Load().outputs.empty());
}

TEST(EngineTest, FullQueueRefusesWithATimeToComeBack) {
  EngineOptions options = Options();
  options.max_num_seqs = 1;
  options.max_num_queued_reqs = 2;
  const auto engine = MakeEngine(options);
  std::vector<std::shared_ptr<RequestStream>> streams;
  streams.push_back(MustSubmit(*engine, Greedy(0, 10, 4)));
  engine->Step();
  for (int i = 1; i < 3; ++i) streams.push_back(MustSubmit(*engine, Greedy(i, 10, 4)));
  const Admitted<Reservation> refused = engine->Reserve(10);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.refused.status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.refused.status.reason(), "queue_full");
  EXPECT_GE(refused.refused.retry_after, milliseconds(100));
  EXPECT_LE(refused.refused.retry_after, seconds(60));
  RunAll(*engine, streams);
  EXPECT_TRUE(engine->Reserve(10).ok());
}

TEST(EngineTest, DropsAQueuedRequestThatMissedItsDeadline) {
  EngineOptions options = Options();
  options.max_num_seqs = 1;
  const auto engine = MakeEngine(options);
  const auto running = MustSubmit(*engine, Greedy(0, 10, 30));
  engine->Step();
  Admitted<Reservation> place = engine->Reserve(10);
  Request late = Greedy(1, 10, 4);
  late.first_token_deadline = MonotonicClock::Get().Now() + milliseconds(20);
  auto waiting = engine->Submit(std::move(place.value), late, nullptr);
  ASSERT_TRUE(waiting.ok()) << waiting.refused.status.message();
  std::this_thread::sleep_for(milliseconds(30));
  engine->Step();
  Answer answer;
  Read(*waiting.value, &answer);
  EXPECT_EQ(answer.error.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(answer.error.reason(), "deadline_expired");
  RunAll(*engine, {running});
}

TEST(EngineTest, RefusesADeadlineThatItsAnswerCannotMeet) {
  EngineOptions options = Options();
  const auto engine = MakeEngine(options);
  RunAll(*engine, {MustSubmit(*engine, Greedy(0, 10, 30))});
  for (const bool has_place : {false, true}) {
    Request request = Greedy(1, 10, 2000);
    request.deadline = MonotonicClock::Get().Now() + milliseconds(4);
    Reservation place;
    if (has_place) place = std::move(engine->Reserve(10).value);
    const auto refused = engine->Submit(std::move(place), request, nullptr);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.refused.status.reason(), "deadline_unmeetable");
    EXPECT_GE(refused.refused.retry_after, milliseconds(100));
    request.deadline = MonotonicClock::Get().Now() + seconds(100);
    RunAll(*engine, {MustSubmit(*engine, request)});
  }
}

// Begun, it would run into its deadline: 504, and the time of others with it.
TEST(EngineTest, DropsAQueuedRequestWhoseAnswerWouldComeTooLate) {
  EngineOptions options = Options();
  options.max_num_seqs = 1;
  const auto engine = MakeEngine(options);
  const auto running = MustSubmit(*engine, Greedy(0, 10, 2));
  engine->Step();
  Request late = Greedy(1, 10, 2000);
  late.deadline = MonotonicClock::Get().Now() + seconds(2);
  const auto waiting = MustSubmit(*engine, late);
  std::this_thread::sleep_until(*late.deadline - milliseconds(4));
  const std::vector<Answer> answers = RunAll(*engine, {running, waiting});
  EXPECT_EQ(answers[0].finish, FinishReason::kLength);
  EXPECT_EQ(answers[1].error.reason(), "deadline_expired");
  EXPECT_TRUE(answers[1].tokens.empty());
}

TEST(EngineTest, StopsARunningRequestAtItsDeadline) {
  const auto engine = MakeEngine(Options());
  Request request = Greedy(0, 10, 20);
  request.deadline = MonotonicClock::Get().Now() + milliseconds(200);
  const auto stream = MustSubmit(*engine, request);
  engine->Step();
  std::this_thread::sleep_until(*request.deadline + milliseconds(1));
  const Answer answer = RunAll(*engine, {stream})[0];
  EXPECT_EQ(answer.error.code(), StatusCode::kDeadlineExceeded);
  EXPECT_GE(answer.tokens.size(), 1u);
}

TEST(EngineTest, DrainingFinishesWhatWasAcceptedAndTakesNothingNew) {
  const auto engine = MakeEngine(Options());
  const auto stream = MustSubmit(*engine, Greedy(0, 10, 6));
  Admitted<Reservation> promised = engine->Reserve(10);
  engine->BeginDrain();
  EXPECT_TRUE(engine->draining());
  const Admitted<Reservation> refused = engine->Reserve(10);
  EXPECT_EQ(refused.refused.status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(refused.refused.status.reason(), "draining");
  auto kept = engine->Submit(std::move(promised.value), Greedy(1, 10, 6), nullptr);
  ASSERT_TRUE(kept.ok());
  for (const Answer& answer : RunAll(*engine, {stream, kept.value}))
    EXPECT_EQ(answer.finish, FinishReason::kLength);
}

TEST(EngineTest, StopEndsWhatStillRuns) {
  const auto engine = MakeEngine(Options());
  const auto running = MustSubmit(*engine, Greedy(0, 10, 500));
  engine->Step();
  const auto queued = MustSubmit(*engine, Greedy(1, 10, 500));
  engine->Stop();
  for (const auto& stream : {running, queued}) {
    Answer answer;
    Read(*stream, &answer);
    EXPECT_EQ(answer.num_finals, 1);
    EXPECT_EQ(answer.error.code(), StatusCode::kUnavailable);
    EXPECT_EQ(answer.error.reason(), "draining");
  }
  EXPECT_EQ(engine->num_free_kv_blocks(), engine->num_kv_blocks());
  EXPECT_FALSE(engine->Submit(Reservation(), Greedy(2, 10, 5), nullptr).ok());
}

TEST(EngineTest, CancelsAReaderThatNeverReads) {
  const auto engine = MakeEngine(Options());
  const auto stream = MustSubmit(*engine, Greedy(1, 10, 1500));
  while (engine->Step()) {
  }
  Answer answer;
  Read(*stream, &answer);
  EXPECT_EQ(answer.error.code(), StatusCode::kCancelled);
  EXPECT_EQ(answer.error.reason(), "slow_reader");
  EXPECT_EQ(answer.tokens.size(), static_cast<size_t>(RequestStream::kCapacity - 1));
  EXPECT_EQ(engine->num_free_kv_blocks(), engine->num_kv_blocks());
}

TEST(EngineTest, NamesAFlagOutsideItsRange) {
  EngineOptions options = Options();
  options.max_model_len = 4096;
  const auto engine = Engine::Create(options);
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(engine.error().message(), testing::HasSubstr("4096"));
  EXPECT_THAT(engine.error().message(), testing::HasSubstr("2048"));
  options = Options();
  options.model_path = "/nonexistent/model.gguf";
  EXPECT_EQ(Engine::Create(options).error().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace weir
