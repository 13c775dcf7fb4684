// The prefix cache from the outside: what is told, what stays secret, and that no answer changes.

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "tests/support/engine_harness.h"
#include "tests/support/temp_file.h"
#include "tests/support/tiny_adapter.h"

namespace weir {
namespace {

Request Following(const std::vector<int32_t>& start, uint64_t seed, int num_more, int max_tokens) {
  Request request = Greedy(seed, num_more, max_tokens);
  request.prompt.insert(request.prompt.begin(), start.begin(), start.end());
  return request;
}

EngineOptions Without() {
  EngineOptions options = Options();
  options.prefix_cache = false;
  return options;
}

TEST(EnginePrefixTest, TellsHowMuchOfAPromptItFoundComputed) {
  const auto engine = MakeEngine(Options());
  int64_t num_queried = 0, num_cached = 0;
  engine->set_step_observer([&](const StepRecord& record) {
    num_queried += record.num_queried_tokens;
    num_cached += record.num_cached_tokens;
  });
  const std::vector<int32_t> start = Prompt(1, 50);
  const auto first = MustSubmit(*engine, Following(start, 2, 10, 4));
  RunAll(*engine, {first});
  EXPECT_EQ(first->ledger().num_cached_tokens, 0);
  const auto second = MustSubmit(*engine, Following(start, 3, 20, 4));
  EXPECT_EQ(engine->Load().queued_tokens, 70 - 48);
  RunAll(*engine, {second});
  EXPECT_EQ(second->ledger().num_cached_tokens, 48);
  EXPECT_EQ(num_queried, 60 + 70);
  EXPECT_EQ(num_cached, 48);
  EXPECT_EQ(engine->Load().queued_tokens, 0);
}

TEST(EnginePrefixTest, HitsChangeNoTokenOfAnyAnswer) {
  const std::vector<int32_t> start = Prompt(1, 40);
  std::vector<Request> requests;
  std::vector<Answer> alone;
  for (int i = 0; i < 12; ++i) {
    const std::vector<int32_t> part(start.begin(), start.begin() + (i % 4) * 13);
    requests.push_back(Following(part, 100 + i, 1 + 7 * (i % 3), 10 + i));
    alone.push_back(Alone(Without(), requests.back()));
  }
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Rng rng(seed);
    EngineOptions options = Options();
    options.max_num_seqs = 1 + static_cast<int>(rng.NextBelow(8));
    options.max_num_batched_tokens = 8 + static_cast<int>(rng.NextBelow(60));
    options.kv_cache_bytes = (12 + static_cast<int64_t>(rng.NextBelow(20))) * kBytesPerBlock;
    options.prefix_hash_mask = seed == 3 ? 0 : ~uint64_t{0};
    const auto engine = MakeEngine(options);
    int64_t num_cached = 0;
    engine->set_step_observer([&](const StepRecord& record) { num_cached += record.num_cached_tokens; });
    for (int round = 0; round < 2; ++round) {
      std::vector<std::shared_ptr<RequestStream>> streams;
      for (const Request& request : requests) {
        streams.push_back(MustSubmit(*engine, request));
        for (uint64_t steps = rng.NextBelow(5); steps > 0; --steps) engine->Step();
      }
      const std::vector<Answer> answers = RunAll(*engine, streams);
      for (size_t i = 0; i < answers.size(); ++i)
        EXPECT_EQ(answers[i].tokens, alone[i].tokens) << "request " << i << ", seed " << seed;
    }
    EXPECT_GT(num_cached, 16 * 12);
  }
}

TEST(EnginePrefixTest, A9KeepsTenantsApartEvenWhenAllHashesCollide) {
  for (const uint64_t mask : {~uint64_t{0}, uint64_t{0}}) {
    EngineOptions options = Options();
    options.prefix_hash_mask = mask;
    const auto engine = MakeEngine(options);
    Request mine = Greedy(1, 64, 8), stolen = mine, other = Greedy(2, 64, 8);
    mine.owner.salt = 77;
    stolen.owner.salt = other.owner.salt = 88;
    const auto first = MustSubmit(*engine, mine);
    const Answer expected = RunAll(*engine, {first})[0];
    EXPECT_EQ(engine->CountCachedTokens(77, mine.prompt), 48);
    EXPECT_EQ(engine->CountCachedTokens(88, mine.prompt), 0);
    EXPECT_EQ(engine->CountCachedTokens(0, mine.prompt), 0);
    const auto thief = MustSubmit(*engine, stolen), neighbour = MustSubmit(*engine, other);
    const std::vector<Answer> answers = RunAll(*engine, {thief, neighbour});
    EXPECT_EQ(thief->ledger().num_cached_tokens, 0);
    EXPECT_EQ(neighbour->ledger().num_cached_tokens, 0);
    EXPECT_EQ(answers[0].tokens, expected.tokens);
    EXPECT_EQ(answers[1].tokens, Alone(Without(), other).tokens);
  }
}

TEST(EnginePrefixTest, IsOffWhenToldSoAndInSequentialMode) {
  EngineOptions sequential = Options();
  sequential.policy = SchedulerPolicy::kSequential;
  for (const EngineOptions& options : {Without(), sequential}) {
    const auto engine = MakeEngine(options);
    EXPECT_FALSE(engine->options().prefix_cache);
    RunAll(*engine, {MustSubmit(*engine, Greedy(1, 60, 4))});
    const auto again = MustSubmit(*engine, Greedy(1, 60, 4));
    RunAll(*engine, {again});
    EXPECT_EQ(again->ledger().num_cached_tokens, 0);
    EXPECT_EQ(engine->CountCachedTokens(0, Prompt(1, 60)), 0);
  }
}

TEST(EnginePrefixTest, CancelledAmongSharersItGivesBackItsOwnAndNoMore) {
  const auto engine = MakeEngine(Options());
  const Request request = Greedy(1, 64, 30);
  const Answer expected = Alone(Without(), request);
  RunAll(*engine, {MustSubmit(*engine, request)});
  const auto stays = MustSubmit(*engine, request), leaves = MustSubmit(*engine, request);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(engine->Step());
  leaves->Cancel();
  const int free_before = engine->num_free_kv_blocks();
  engine->Step();
  EXPECT_GT(engine->num_free_kv_blocks(), free_before);
  EXPECT_EQ(engine->CheckInvariants(), "");
  EXPECT_EQ(RunAll(*engine, {stays})[0].tokens, expected.tokens);
}

TEST(EnginePrefixTest, WhoeverWantsScoresOfThePromptIsNotSparedAnyOfIt) {
  Request scored = Greedy(1, 40, 1);
  scored.prompt_logprobs = true;
  scored.num_prompt_top = 3;
  const Answer expected = Alone(Without(), scored);
  const auto engine = MakeEngine(Options());
  RunAll(*engine, {MustSubmit(*engine, Greedy(1, 40, 4))});
  ASSERT_EQ(engine->CountCachedTokens(0, scored.prompt), 32);
  const auto stream = MustSubmit(*engine, scored);
  const Answer answer = RunAll(*engine, {stream})[0];
  EXPECT_EQ(stream->ledger().num_cached_tokens, 0);
  EXPECT_EQ(answer.tokens, expected.tokens);
  ASSERT_EQ(answer.prompt_logprobs.size(), 40u);
  for (size_t i = 1; i < 40; ++i) {
    EXPECT_EQ(answer.prompt_logprobs[i].chosen, expected.prompt_logprobs[i].chosen) << i;
    EXPECT_EQ(answer.prompt_logprobs[i].top.size(), 3u) << i;
  }
  const auto plain = MustSubmit(*engine, Greedy(1, 40, 4));
  RunAll(*engine, {plain});
  EXPECT_EQ(plain->ledger().num_cached_tokens, 32) << "others still are";
}

TEST(EnginePrefixTest, EvictsOldPromptsInsteadOfRefusingNewOnes) {
  EngineOptions options = Options();
  options.kv_cache_bytes = 8 * kBytesPerBlock;
  const auto engine = MakeEngine(options);
  for (int i = 0; i < 20; ++i) {
    const Request request = Greedy(i, 90, 6);
    EXPECT_EQ(RunAll(*engine, {MustSubmit(*engine, request)})[0].tokens, Alone(Without(), request).tokens);
    EXPECT_EQ(engine->CountCachedTokens(0, request.prompt), 80);
  }
  EXPECT_EQ(engine->CountCachedTokens(0, Greedy(0, 90, 6).prompt), 0);
}

TEST(EnginePrefixTest, AdaptersShareNoBlocksAndAnswerAsAlone) {
  const TempFile adapter(TinyAdapterFile(3).Build());
  EngineOptions options = Options();
  options.adapters = {{"one", adapter.path()}, {"two", adapter.path()}};
  std::vector<Request> requests;
  std::vector<Answer> alone;
  for (int i = 0; i < 3; ++i) {
    requests.push_back(Greedy(5, 60, 8));
    requests.back().adapter = i;
    EngineOptions no_cache = options;
    no_cache.prefix_cache = false;
    alone.push_back(Alone(no_cache, requests.back()));
  }
  EXPECT_NE(alone[0].tokens, alone[1].tokens);
  EXPECT_EQ(alone[1].tokens, alone[2].tokens);
  const auto engine = MakeEngine(options);
  for (const int expected : {0, 48}) {
    for (int i = 0; i < 3; ++i) {
      const auto stream = MustSubmit(*engine, requests[i]);
      EXPECT_EQ(RunAll(*engine, {stream})[0].tokens, alone[i].tokens);
      EXPECT_EQ(stream->ledger().num_cached_tokens, expected) << i;
    }
  }
  std::vector<std::shared_ptr<RequestStream>> streams;
  for (const Request& request : requests) streams.push_back(MustSubmit(*engine, request));
  const std::vector<Answer> together = RunAll(*engine, streams);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(together[i].tokens, alone[i].tokens);
  Request unknown = requests[0];
  unknown.adapter = 3;
  EXPECT_EQ(engine->Submit(Reservation(), unknown, nullptr).refused.status.code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace weir
