#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/engine_harness.h"

namespace weir {
namespace {

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

TEST(EngineTest, SegmentsOfAProfiledStepSumToTheStepAndChangeNoToken) {
  EngineOptions options = Options();
  options.num_threads = 2;
  const Request request = Greedy(7, 30, 10);
  const Answer plain = Alone(options, request);
  const auto engine = MakeEngine(options);
  int num_profiled = 0, num_plain = 0;
  engine->set_step_observer([&](const StepRecord& record) {
    Duration sum{};
    for (const Duration segment : record.segments) sum += segment;
    if (record.is_profiled) {
      ++num_profiled;
      const double step = static_cast<double>((record.ended - record.started).count());
      EXPECT_NEAR(static_cast<double>(sum.count()), step, 0.02 * step);
      for (const StepSegment segment :
           {StepSegment::kMatmulQkv, StepSegment::kMatmulFfn, StepSegment::kAttention,
            StepSegment::kNormQuantize, StepSegment::kLmHead}) {
        EXPECT_GT(record.segments[static_cast<size_t>(segment)], Duration::zero())
            << StepSegmentName(segment);
      }
    } else {
      ++num_plain;
      EXPECT_EQ(sum, Duration::zero());
    }
    engine->set_profiling(!engine->profiling());
  });
  const std::vector<Answer> answers = RunAll(*engine, {MustSubmit(*engine, request)});
  EXPECT_EQ(answers[0].tokens, plain.tokens);
  EXPECT_GE(num_profiled, 4);
  EXPECT_GE(num_plain, 4);
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
    Duration to_first{};
    for (int i = 0; i < kNumStages; ++i) {
      const auto stage = static_cast<Stage>(i);
      EXPECT_GE(ledger.to_first(stage), Duration::zero());
      EXPECT_LE(ledger.to_first(stage), ledger.stage(stage)) << StageName(stage);
      to_first += ledger.to_first(stage);
    }
    EXPECT_EQ(to_first, ledger.first_token - ledger.started());
  }
  EXPECT_GT(
      streams.back()->ledger().stage(Stage::kQueueSlot) + streams.back()->ledger().stage(Stage::kQueueKv),
      Duration::zero());
}

// With preemptions, prompts that come in pieces, one that leaves in the middle and one that scores its prompt.
TEST(EngineTest, LG4SharesOfTheEnginesTimeSumToTheTimeItWasBusy) {
  EngineOptions options = Options();
  options.max_num_seqs = 4;
  options.kv_cache_bytes = 12 * kBytesPerBlock;
  const auto engine = MakeEngine(options);
  Duration busy{};
  engine->set_step_observer(
      [&](const StepRecord& step) { busy += step.schedule + step.forward + step.sample; });
  std::vector<std::shared_ptr<RequestStream>> streams;
  for (int i = 0; i < 6; ++i) streams.push_back(MustSubmit(*engine, Greedy(i, 20, 60)));
  Request scored = Greedy(6, 40, 3);
  scored.prompt_logprobs = true;
  streams.push_back(MustSubmit(*engine, scored));
  for (int i = 0; i < 5; ++i) engine->Step();
  streams[0]->Cancel();
  RunAll(*engine, streams);
  Duration shares{};
  int num_preemptions = 0;
  for (const auto& stream : streams) {
    EXPECT_GT(stream->ledger().engine_share, Duration::zero());
    shares += stream->ledger().engine_share;
    num_preemptions += stream->ledger().num_preemptions;
  }
  EXPECT_EQ(shares, busy);
  EXPECT_GT(num_preemptions, 0);
}

class CountingClock final : public Clock {
 public:
  TimePoint Now() const override {
    ++num_readings;
    return MonotonicClock::Get().Now();
  }
  mutable int num_readings = 0;
};

// What the accounts of a step come to in time, tools measure (microbench/engine/ledger_cost.cc); here it is what they do.
TEST(EngineTest, LG6AccountsTakeFourReadingsOfAStepAndThreeChangesOfEachOfItsSequences) {
  constexpr int kOutput = 40;
  for (const int num_sequences : {1, 8}) {
    CountingClock clock;
    EngineOptions options = Options();
    options.clock = &clock;
    const auto engine = MakeEngine(options);
    std::vector<std::shared_ptr<RequestStream>> streams;
    for (int i = 0; i < num_sequences; ++i) streams.push_back(MustSubmit(*engine, Greedy(i, 20, kOutput)));
    clock.num_readings = 0;
    int num_steps = 0;
    for (; engine->Step(); ++num_steps) EXPECT_EQ(clock.num_readings, 4 * (num_steps + 1));
    EXPECT_GE(num_steps, kOutput);
    for (const auto& stream : streams) {
      EXPECT_GE(stream->ledger().num_steps, kOutput);
      // Once each: handed over, waiting, its part of a first step, the first token, handed back.
      EXPECT_LE(stream->ledger().num_changes, 3 * stream->ledger().num_steps + 5);
      EXPECT_GE(stream->ledger().num_changes, 3 * stream->ledger().num_steps);
    }
  }
}

// The sampler says so for not-a-number too, but no model file with such weights loads. So here every token is forbidden.
TEST(HostileModelEngineTest, G11RowWithoutAChoiceFailsItsOwnRequestOnly) {
  const auto engine = MakeEngine(Options());
  Request bad = Greedy(2, 10, 8);
  bad.min_tokens = 8;
  for (int32_t id = 0; id < kTinyVocabSize; ++id) bad.stop_token_ids.push_back(id);
  const std::vector<Answer> answers =
      RunAll(*engine, {MustSubmit(*engine, Greedy(1, 10, 8)), MustSubmit(*engine, bad)});
  EXPECT_EQ(answers[0].finish, FinishReason::kLength);
  EXPECT_EQ(answers[0].tokens, Alone(Options(), Greedy(1, 10, 8)).tokens);
  EXPECT_EQ(answers[1].finish, FinishReason::kError);
  EXPECT_EQ(answers[1].error.code(), StatusCode::kInternal);
  EXPECT_EQ(answers[1].error.reason(), "numeric_error");
  EXPECT_TRUE(answers[1].tokens.empty());
}

}  // namespace
}  // namespace weir
