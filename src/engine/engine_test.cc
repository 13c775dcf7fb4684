#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <thread>

#include "base/mutex.h"
#include "base/rng.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int64_t kBytesPerBlock = 4096;  // of the tiny model: 256 bytes per token

const TinyModel& Tiny() {
  static const TinyModel model;
  return model;
}

EngineOptions Options() {
  EngineOptions options;
  options.model_path = Tiny().path();
  options.num_threads = 1;
  options.max_num_seqs = 8;
  options.max_num_batched_tokens = 64;
  options.max_num_queued_reqs = 1000;
  options.kv_cache_bytes = 400 * kBytesPerBlock;
  return options;
}

std::unique_ptr<Engine> MakeEngine(const EngineOptions& options) {
  Result<std::unique_ptr<Engine>> engine = Engine::Create(options);
  if (!engine.has_value()) {
    ADD_FAILURE() << engine.error().message();
    return nullptr;
  }
  return std::move(engine).value();
}

std::vector<int32_t> Prompt(uint64_t seed, int length) {
  Rng rng(seed);
  std::vector<int32_t> tokens(length);
  for (int32_t& token : tokens) token = 3 + static_cast<int32_t>(rng.NextBelow(kTinyVocabSize - 3));
  return tokens;
}

Request Greedy(uint64_t seed, int num_prompt, int max_tokens) {
  Request request;
  request.id = "r" + std::to_string(seed);
  request.prompt = Prompt(seed, num_prompt);
  request.sampling.temperature = 0;
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

struct Answer {
  std::vector<int32_t> tokens;
  std::vector<TokenLogprobs> prompt_logprobs;
  FinishReason finish = FinishReason::kNone;
  bool ended_by_token = false;
  int num_finals = 0;
  Status error;
};

void Read(RequestStream& stream, Answer* answer) {
  TokenEvent event;
  while (stream.Pop(&event)) {
    EXPECT_EQ(answer->num_finals, 0) << "an event after the final one";
    if (event.token >= 0) {
      EXPECT_EQ(event.index, static_cast<int>(answer->tokens.size()));
      answer->tokens.push_back(event.token);
    }
    if (event.prompt_logprobs != nullptr) answer->prompt_logprobs = *event.prompt_logprobs;
    if (event.finish == FinishReason::kNone) continue;
    ++answer->num_finals;
    answer->finish = event.finish;
    answer->error = event.error;
    answer->ended_by_token = event.is_end_token;
  }
}

std::shared_ptr<RequestStream> MustSubmit(Engine& engine, Request request, EventSink* sink = nullptr) {
  Admitted<std::shared_ptr<RequestStream>> out = engine.Submit(Reservation(), std::move(request), sink);
  EXPECT_TRUE(out.ok()) << out.refused.status.message();
  return out.value;
}

std::vector<Answer> RunAll(Engine& engine, const std::vector<std::shared_ptr<RequestStream>>& streams) {
  std::vector<Answer> answers(streams.size());
  while (engine.Step()) {
    for (size_t i = 0; i < streams.size(); ++i) Read(*streams[i], &answers[i]);
  }
  EXPECT_EQ(engine.CheckInvariants(), "");
  EXPECT_EQ(engine.num_free_kv_blocks(), engine.num_kv_blocks());
  EXPECT_TRUE(engine.idle());
  return answers;
}

Answer Alone(const EngineOptions& options, const Request& request) {
  const std::unique_ptr<Engine> engine = MakeEngine(options);
  return RunAll(*engine, {MustSubmit(*engine, request)})[0];
}

Duration SumOfStages(const Ledger& ledger) {
  Duration sum{};
  for (int i = 0; i < kNumStages; ++i) sum += ledger.stage(static_cast<Stage>(i));
  return sum;
}

TEST(EngineTest, AnswersAGreedyRequestToItsLength) {
  const Answer answer = Alone(Options(), Greedy(1, 20, 12));
  EXPECT_EQ(answer.tokens.size(), 12u);
  EXPECT_EQ(answer.finish, FinishReason::kLength);
  EXPECT_EQ(answer.num_finals, 1);
  for (int32_t token : answer.tokens) EXPECT_LT(token, kTinyVocabSize);
}

TEST(EngineTest, BatchesRequestsInOneStep) {
  const auto engine = MakeEngine(Options());
  int most = 0;
  engine->set_step_observer([&](const StepRecord& record) {
    most = std::max(most, record.num_sequences);
    EXPECT_LE(record.num_tokens, 64);
    EXPECT_LE(record.started, record.ended);
  });
  std::vector<std::shared_ptr<RequestStream>> streams;
  for (int i = 0; i < 6; ++i) streams.push_back(MustSubmit(*engine, Greedy(i, 5, 8)));
  RunAll(*engine, streams);
  EXPECT_EQ(most, 6);
}

TEST(EngineTest, AnswerIsTheSameAloneAndInAnyBatch) {
  std::vector<Request> requests;
  std::vector<Answer> alone;
  for (int i = 0; i < 12; ++i) {
    requests.push_back(Greedy(100 + i, 3 + 17 * (i % 5), 10 + i));
    alone.push_back(Alone(Options(), requests.back()));
  }
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Rng rng(seed);
    EngineOptions options = Options();
    options.max_num_seqs = 1 + static_cast<int>(rng.NextBelow(8));
    options.max_num_batched_tokens = 8 + static_cast<int>(rng.NextBelow(60));
    const auto engine = MakeEngine(options);
    std::vector<std::shared_ptr<RequestStream>> streams;
    for (const Request& request : requests) {
      streams.push_back(MustSubmit(*engine, request));
      for (uint64_t steps = rng.NextBelow(4); steps > 0; --steps) engine->Step();
    }
    const std::vector<Answer> together = RunAll(*engine, streams);
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(together[i].tokens, alone[i].tokens) << "seed " << seed << ", request " << i;
    }
  }
}

TEST(EngineTest, PreemptedSequenceContinuesWithTheSameTokens) {
  std::vector<Request> requests;
  std::vector<Answer> alone;
  for (int i = 0; i < 6; ++i) {
    requests.push_back(Greedy(200 + i, 20, 60));
    if (i % 2 == 1) {
      requests.back().sampling.temperature = 1.0f;
      requests.back().sampling.seed = 77 + i;
    }
    alone.push_back(Alone(Options(), requests.back()));
  }
  EngineOptions options = Options();
  options.kv_cache_bytes = 14 * kBytesPerBlock;  // six need five blocks each
  const auto engine = MakeEngine(options);
  int num_preempted = 0;
  engine->set_step_observer([&](const StepRecord& record) { num_preempted += record.num_preempted; });
  std::vector<std::shared_ptr<RequestStream>> streams;
  for (const Request& request : requests) streams.push_back(MustSubmit(*engine, request));
  const std::vector<Answer> together = RunAll(*engine, streams);
  EXPECT_GT(num_preempted, 0);
  int in_ledgers = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(together[i].tokens, alone[i].tokens) << "request " << i;
    Ledger& ledger = streams[i]->ledger();
    in_ledgers += ledger.num_preemptions;
    if (ledger.num_preemptions > 0) {
      EXPECT_GT(ledger.stage(Stage::kRecompute), Duration::zero());
      EXPECT_GT(ledger.num_recomputed_tokens, 0);
    }
  }
  EXPECT_EQ(in_ledgers, num_preempted);
  EXPECT_GE(engine->peak_kv_blocks(), 12);
}

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

TEST(EngineTest, SequentialModeAnswersInArrivalOrder) {
  EngineOptions options = Options();
  options.policy = SchedulerPolicy::kSequential;
  const auto engine = MakeEngine(options);
  int most = 0;
  engine->set_step_observer([&](const StepRecord& record) { most = std::max(most, record.num_sequences); });
  std::vector<std::shared_ptr<RequestStream>> streams;
  for (int i = 0; i < 4; ++i) streams.push_back(MustSubmit(*engine, Greedy(i, 10, 6)));
  const std::vector<Answer> answers = RunAll(*engine, streams);
  EXPECT_EQ(most, 1);
  for (size_t i = 1; i < streams.size(); ++i) {
    EXPECT_GT(streams[i]->ledger().first_token, streams[i - 1]->ledger().last_token);
    EXPECT_EQ(
        streams[i]->ledger().stage(Stage::kQueueSlot),
        std::max(streams[i]->ledger().stage(Stage::kQueueSlot), streams[i]->ledger().stage(Stage::kDecode)));
    EXPECT_EQ(answers[i].tokens, Alone(Options(), Greedy(i, 10, 6)).tokens);
  }
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
  RunAll(*engine, streams);
  EXPECT_EQ(engine->Load().num_waiting, 0);
  EXPECT_EQ(engine->Load().queued_tokens, 0);
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

TEST(EngineTest, StopsARunningRequestAtItsDeadline) {
  const auto engine = MakeEngine(Options());
  Request request = Greedy(0, 10, 500);
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

TEST(EngineTest, StopIdsEndARequestAndMinTokensHoldThemBack) {
  const Answer plain = Alone(Options(), Greedy(1, 20, 12));
  const int32_t third = plain.tokens[2];
  const size_t first_place =
      std::find(plain.tokens.begin(), plain.tokens.end(), third) - plain.tokens.begin();
  Request request = Greedy(1, 20, 12);
  request.stop_token_ids = {third};
  const Answer stopped = Alone(Options(), request);
  EXPECT_EQ(stopped.finish, FinishReason::kStop);
  EXPECT_TRUE(stopped.ended_by_token);
  EXPECT_EQ(stopped.tokens.size(), first_place + 1);
  request.min_tokens = 8;
  const Answer held = Alone(Options(), request);
  EXPECT_GE(held.tokens.size(), 9u);
  EXPECT_EQ(std::count(held.tokens.begin(), held.tokens.begin() + 8, third), 0);
}

TEST(EngineTest, ScoresThePromptWhateverTheChunks) {
  Request request = Greedy(5, 70, 0);
  request.prompt_logprobs = true;
  request.sampling.num_logprobs = 2;
  const Answer scored = Alone(Options(), request);
  EXPECT_EQ(scored.finish, FinishReason::kLength);
  EXPECT_TRUE(scored.tokens.empty());
  ASSERT_EQ(scored.prompt_logprobs.size(), 70u);
  for (size_t i = 1; i < 70; ++i) {
    EXPECT_LT(scored.prompt_logprobs[i].chosen, 0.0f);
    EXPECT_EQ(scored.prompt_logprobs[i].top.size(), 2u);
    EXPECT_LE(scored.prompt_logprobs[i].chosen, scored.prompt_logprobs[i].top[0].logprob);
  }
  EngineOptions small = Options();
  small.max_num_batched_tokens = 8;
  request.max_tokens = 3;
  const Answer chunked = Alone(small, request);
  EXPECT_EQ(chunked.tokens.size(), 3u);
  ASSERT_EQ(chunked.prompt_logprobs.size(), 70u);
  for (size_t i = 0; i < 70; ++i)
    EXPECT_EQ(chunked.prompt_logprobs[i].chosen, scored.prompt_logprobs[i].chosen) << i;
  // The score of a greedy continuation is that of its own first choice.
  Request continued = request;
  continued.prompt.push_back(chunked.tokens[0]);
  const Answer longer = Alone(Options(), continued);
  ASSERT_EQ(longer.prompt_logprobs.size(), 71u);
  EXPECT_EQ(longer.prompt_logprobs[70].chosen, longer.prompt_logprobs[70].top[0].logprob);
}

TEST(EngineTest, LedgerStagesSumToTheWallTime) {
  EngineOptions options = Options();
  options.max_num_seqs = 2;
  options.kv_cache_bytes = 8 * kBytesPerBlock;
  const auto engine = MakeEngine(options);
  std::vector<std::shared_ptr<RequestStream>> streams;
  for (int i = 0; i < 6; ++i) {
    Request request = Greedy(i, 20, 60);
    request.ledger.Begin(MonotonicClock::Get().Now(), Stage::kParse);
    streams.push_back(MustSubmit(*engine, request));
  }
  RunAll(*engine, streams);
  for (const auto& stream : streams) {
    Ledger& ledger = stream->ledger();
    ledger.Close(MonotonicClock::Get().Now());
    EXPECT_EQ(SumOfStages(ledger), ledger.wall());
    EXPECT_GT(ledger.stage(Stage::kPrefill) + ledger.stage(Stage::kRecompute), Duration::zero());
    EXPECT_GT(ledger.stage(Stage::kDecode), Duration::zero());
    EXPECT_EQ(ledger.stage(Stage::kOther), Duration::zero());
    EXPECT_GE(ledger.num_steps, 60);
    EXPECT_LE(ledger.started(), ledger.admitted);
    EXPECT_LE(ledger.admitted, ledger.scheduled);
    EXPECT_LT(ledger.scheduled, ledger.first_token);
    EXPECT_LT(ledger.first_token, ledger.last_token);
  }
  EXPECT_GT(
      streams.back()->ledger().stage(Stage::kQueueSlot) + streams.back()->ledger().stage(Stage::kQueueKv),
      Duration::zero());
}

// Writes not-a-number over the embedding of one token, so that only requests that contain it go wrong.
TEST(EngineTest, NotANumberFailsItsOwnRequestOnly) {
  TinyModelOptions tiny;
  tiny.weight_type = DType::kF32;
  tiny.tied_embeddings = false;
  const TinyModel broken(tiny);
  constexpr int32_t kBadToken = 100;
  constexpr int64_t kRowBytes = 64 * sizeof(float);
  {
    auto file = ModelFile::Open(broken.path());
    ASSERT_TRUE(file.has_value()) << file.error().message();
    const uint64_t offset = (*file)->FindTensor("token_embd.weight")->offset + kBadToken * kRowBytes;
    std::fstream out(broken.path(), std::ios::in | std::ios::out | std::ios::binary);
    const std::vector<float> row(64, std::numeric_limits<float>::quiet_NaN());
    out.seekp(static_cast<std::streamoff>(offset));
    out.write(reinterpret_cast<const char*>(row.data()), kRowBytes);
    ASSERT_TRUE(out.good());
  }
  EngineOptions options = Options();
  options.model_path = broken.path();
  const auto engine = MakeEngine(options);
  Request good = Greedy(1, 10, 8);
  Request bad = Greedy(2, 10, 8);
  std::replace(good.prompt.begin(), good.prompt.end(), kBadToken, kBadToken + 1);
  good.sampling.logit_bias = {{kBadToken, -100.0f}};
  bad.prompt[4] = kBadToken;
  const std::vector<Answer> answers = RunAll(*engine, {MustSubmit(*engine, good), MustSubmit(*engine, bad)});
  EXPECT_EQ(answers[0].finish, FinishReason::kLength);
  EXPECT_EQ(answers[0].tokens.size(), 8u);
  EXPECT_EQ(answers[1].finish, FinishReason::kError);
  EXPECT_EQ(answers[1].error.code(), StatusCode::kInternal);
  EXPECT_EQ(answers[1].error.reason(), "numeric_error");
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

// Reads on the engine's thread, as an io thread would after being woken.
class CountingSink final : public EventSink {
 public:
  void OnNews(std::span<const std::shared_ptr<RequestStream>> streams) noexcept override {
    MutexLock lock(mutex_);
    ++num_calls_;
    for (const auto& stream : streams) Read(*stream, &answers_[stream->id()]);
  }
  int num_calls() {
    MutexLock lock(mutex_);
    return num_calls_;
  }
  std::map<std::string, Answer> answers() {
    MutexLock lock(mutex_);
    return answers_;
  }

 private:
  Mutex mutex_;
  int num_calls_ = 0;
  std::map<std::string, Answer> answers_;
};

TEST(EngineTest, WakesASinkAtMostOncePerStep) {
  const auto engine = MakeEngine(Options());
  CountingSink sink;
  CountingSink other;
  for (int i = 0; i < 4; ++i) MustSubmit(*engine, Greedy(i, 5, 10), &sink);
  MustSubmit(*engine, Greedy(9, 5, 10), &other);
  int num_steps = 0;
  while (engine->Step()) {
    ++num_steps;
    ASSERT_LE(sink.num_calls(), num_steps);
    ASSERT_LE(other.num_calls(), num_steps);
  }
  EXPECT_GE(sink.num_calls(), 10);
  EXPECT_EQ(sink.answers().size(), 4u);
  for (const auto& [id, answer] : sink.answers()) EXPECT_EQ(answer.num_finals, 1) << id;
}

TEST(EngineTest, EveryRequestEndsOnceUnderManyThreads) {
  EngineOptions options = Options();
  options.kv_cache_bytes = 30 * kBytesPerBlock;
  options.max_num_queued_reqs = 20;
  const auto engine = MakeEngine(options);
  CountingSink sink;
  engine->Start();
  std::atomic<int> num_accepted{0};
  std::atomic<int> num_refused{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      Rng rng(c);
      for (int i = 0; i < 40; ++i) {
        const int num_prompt = 1 + static_cast<int>(rng.NextBelow(60));
        Admitted<Reservation> place = engine->Reserve(num_prompt);
        if (!place.ok()) {
          ++num_refused;
          std::this_thread::sleep_for(milliseconds(2));
          continue;
        }
        if (rng.NextBelow(10) == 0) continue;  // given back unused
        Request request = Greedy(1000 * c + i, num_prompt, 1 + static_cast<int>(rng.NextBelow(30)));
        auto stream = engine->Submit(std::move(place.value), std::move(request), &sink);
        if (!stream.ok()) {
          ++num_refused;
          continue;
        }
        ++num_accepted;
        if (rng.NextBelow(5) == 0) stream.value->Cancel();
        if (rng.NextBelow(3) == 0) std::this_thread::sleep_for(milliseconds(1));
      }
    });
  }
  for (std::thread& client : clients) client.join();
  const TimePoint give_up = MonotonicClock::Get().Now() + seconds(60);
  while (!engine->idle() && MonotonicClock::Get().Now() < give_up)
    std::this_thread::sleep_for(milliseconds(1));
  EXPECT_TRUE(engine->idle());
  engine->Stop();
  const auto answers = sink.answers();
  EXPECT_EQ(answers.size(), static_cast<size_t>(num_accepted.load()));
  EXPECT_GT(num_accepted.load(), 20);
  for (const auto& [id, answer] : answers) EXPECT_EQ(answer.num_finals, 1) << id;
  EXPECT_EQ(engine->num_free_kv_blocks(), engine->num_kv_blocks());
  EXPECT_EQ(engine->CheckInvariants(), "");
  EXPECT_EQ(engine->Load().num_waiting, 0);
  EXPECT_EQ(engine->Load().queued_tokens, 0);
}

TEST(EngineTest, SleepsWhileThereIsNothingToDo) {
  const auto engine = MakeEngine(Options());
  CountingSink sink;
  engine->Start();
  MustSubmit(*engine, Greedy(1, 10, 5), &sink);
  while (!engine->idle()) std::this_thread::sleep_for(milliseconds(1));
  std::this_thread::sleep_for(milliseconds(50));
  const auto cpu_seconds = [] {
    timespec used{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
  };
  const double before = cpu_seconds();
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_LT(cpu_seconds() - before, 0.03);
  EXPECT_EQ(sink.answers().begin()->second.tokens.size(), 5u);
}

}  // namespace
}  // namespace weir
