// Several owners at one engine: whose turn it is, and who makes room.

#include <gtest/gtest.h>

#include <map>

#include "engine/engine.h"
#include "tests/support/engine_harness.h"

namespace weir {
namespace {

Request Of(const std::string& owner, uint64_t seed, int num_prompt, int max_tokens) {
  Request request = Greedy(seed, num_prompt, max_tokens);
  request.id = owner + std::to_string(seed);
  request.owner.name = owner;
  return request;
}

// Who comes waits, however long.
EngineOptions OneSlot() {
  EngineOptions options = Options();
  options.max_num_seqs = 1;
  options.ttft_objective = std::chrono::hours(1);
  return options;
}

TEST(EngineFairTest, ServesOwnersInTurnsAndNotInTheOrderOfArrival) {
  EngineOptions options = OneSlot();
  const auto engine = MakeEngine(options);
  std::vector<std::shared_ptr<RequestStream>> greedy, modest;
  for (int i = 0; i < 12; ++i) greedy.push_back(MustSubmit(*engine, Of("greedy", i, 20, 4)));
  engine->Step();
  for (int i = 0; i < 3; ++i) modest.push_back(MustSubmit(*engine, Of("modest", 100 + i, 20, 4)));
  std::vector<std::shared_ptr<RequestStream>> all = greedy;
  all.insert(all.end(), modest.begin(), modest.end());
  const std::vector<Answer> answers = RunAll(*engine, all);
  for (const Answer& answer : answers) EXPECT_EQ(answer.finish, FinishReason::kLength);
  // All of the modest owner's ran before the greedy one's fifth: turn by turn, from when they came.
  for (const auto& stream : modest)
    EXPECT_LT(stream->ledger().scheduled, greedy[4]->ledger().scheduled) << stream->id();
  EXPECT_GT(greedy[11]->ledger().stage(Stage::kQueueFair), Duration::zero());
}

TEST(EngineFairTest, AccountsWhatAnOwnerAndThoseItSpeaksForWereServed) {
  const auto engine = MakeEngine(OneSlot());
  RunAll(*engine, {MustSubmit(*engine, Of("a", 1, 20, 4)), MustSubmit(*engine, Of("gate/x", 2, 20, 4)),
                   MustSubmit(*engine, Of("gate/y", 3, 20, 4))});
  const double one = engine->ServedCost("a");
  EXPECT_GE(one, 20 + 3);  // an output token costs a prompt token at least; the last is not computed on
  EXPECT_GE(engine->ServedCost("gate"), 2 * (20 + 3));
  EXPECT_EQ(engine->ServedCost("nobody"), 0);
}

TEST(EngineFairTest, AFullQueueMakesRoomForWhoHasLessThanItsShare) {
  EngineOptions options = OneSlot();
  options.max_num_queued_reqs = 10;
  const auto engine = MakeEngine(options);
  RunAll(*engine, {MustSubmit(*engine, Of("greedy", 99, 20, 2))});
  std::vector<std::shared_ptr<RequestStream>> greedy;
  greedy.push_back(MustSubmit(*engine, Of("greedy", 0, 20, 30)));
  engine->Step();
  int num_refused = 0;
  for (int i = 1; i < 20; ++i) {
    auto one = engine->Submit(Reservation(), Of("greedy", i, 20, 4), nullptr);
    if (one.ok()) {
      greedy.push_back(one.value);
    } else {
      EXPECT_EQ(one.refused.status.reason(), "queue_full");
      ++num_refused;
    }
  }
  EXPECT_EQ(greedy.size(), 1u + 9u);  // nine tenths of the queue
  EXPECT_GT(num_refused, 0);
  const auto modest = MustSubmit(*engine, Of("modest", 50, 20, 4));
  engine->Step();
  EXPECT_EQ(engine->CheckInvariants(), "");
  std::vector<std::shared_ptr<RequestStream>> all = greedy;
  all.push_back(modest);
  const std::vector<Answer> answers = RunAll(*engine, all);
  EXPECT_EQ(answers.back().finish, FinishReason::kLength);
  for (size_t i = 0; i + 1 < greedy.size(); ++i)
    EXPECT_EQ(answers[i].finish, FinishReason::kLength) << greedy[i]->id();
  // The newest left, with a reason and before anything was computed for it.
  const Answer& evicted = answers[greedy.size() - 1];
  EXPECT_EQ(evicted.finish, FinishReason::kError);
  EXPECT_EQ(evicted.error.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(evicted.error.reason(), "evicted_share");
  EXPECT_TRUE(evicted.tokens.empty());
}

// OV-4 through the whole engine: one owner asks for ten times as much as the other, who asks for more than half.
TEST(EngineFairTest, TwoEqualOwnersGetEqualServiceThoughOneAsksForTenTimesAsMuch) {
  EngineOptions options = Options();
  options.max_num_seqs = 4;
  options.max_num_queued_reqs = 16;
  options.ttft_objective = std::chrono::hours(1);
  const auto engine = MakeEngine(options);
  std::map<std::string, int64_t> served;
  std::map<std::string, std::vector<std::shared_ptr<RequestStream>>> streams;
  uint64_t seed = 0;
  const auto offer = [&](const std::string& owner) {
    auto one = engine->Submit(Reservation(), Of(owner, ++seed, 24, 8), nullptr);
    if (one.ok()) streams[owner].push_back(one.value);
  };
  // A request costs about 24 tokens of a step's 64 and 8 places in steps of 4: two steps each.
  for (int step = 0; step < 1500; ++step) {
    if (step % 3 == 0) offer("modest");
    for (int i = 0; i < 10 && step % 3 == 0; ++i) offer("greedy");
    engine->Step();
    ASSERT_EQ(engine->CheckInvariants(), "");
    for (auto& [owner, of_one] : streams) {
      for (const auto& stream : of_one) {
        TokenEvent event;
        while (stream->Pop(&event)) served[owner] += event.token < 0 ? 0 : event.index == 0 ? 24 : 2;
      }
      std::erase_if(of_one, [](const auto& stream) { return stream->finished(); });
    }
  }
  const auto a = static_cast<double>(served["modest"]), b = static_cast<double>(served["greedy"]);
  EXPECT_GE((a + b) * (a + b) / (2 * (a * a + b * b)), 0.95) << a << " and " << b;
  EXPECT_GT(a, 5000);
}

TEST(EngineFairTest, AnotherOwnersBacklogIsNoWaitForANewcomer) {
  EngineOptions options = OneSlot();
  const auto engine = MakeEngine(options);
  std::vector<std::shared_ptr<RequestStream>> greedy;
  for (int i = 0; i < 12; ++i) greedy.push_back(MustSubmit(*engine, Of("greedy", i, 40, 4)));
  engine->Step();
  RequestOwner modest;
  modest.name = "modest";
  RequestOwner same;
  same.name = "greedy";
  EXPECT_EQ(engine->Load({.owner = modest}).num_waiting, 0);
  EXPECT_EQ(engine->Load({.owner = same}).num_waiting, 11);
  EXPECT_EQ(engine->Load().num_waiting, 11);
  RunAll(*engine, greedy);
}

TEST(EngineFairTest, ClassesFillOnlyTheirShareOfTheQueue) {
  for (const auto& [service_class, most] : std::vector<std::pair<RequestClass, size_t>>{
           {RequestClass::kInteractive, 20}, {RequestClass::kBatch, 10}, {RequestClass::kSheddable, 5}}) {
    EngineOptions options = OneSlot();
    options.max_num_queued_reqs = 20;
    const auto engine = MakeEngine(options);
    std::vector<std::shared_ptr<RequestStream>> streams = {MustSubmit(*engine, Of("a", 0, 20, 30))};
    engine->Step();
    for (int i = 1; i < 40; ++i) {
      Request request = Of("a", i, 20, 2);
      request.service_class = service_class;
      auto one = engine->Submit(Reservation(), std::move(request), nullptr);
      if (one.ok()) streams.push_back(one.value);
    }
    EXPECT_EQ(streams.size(), 1 + most);
    RunAll(*engine, streams);
  }
}

TEST(EngineFairTest, AReservationMovesWithTheClassItsBodyAsksFor) {
  EngineOptions options = Options();
  const auto engine = MakeEngine(options);
  Admitted<Reservation> place = engine->Reserve(20, 3);
  ASSERT_TRUE(place.ok());
  std::vector<std::shared_ptr<RequestStream>> streams;
  for (int i = 0; i < 3; ++i) {
    Request request = Of("somebody", i, 20, 3);
    request.service_class = RequestClass::kBatch;
    auto one = engine->Submit(place.value.Split(), std::move(request), nullptr);
    ASSERT_TRUE(one.ok()) << one.refused.status.message();
    streams.push_back(one.value);
    EXPECT_EQ(engine->CheckInvariants(), "");
  }
  RunAll(*engine, streams);
  EXPECT_EQ(engine->Load().num_waiting, 0);
  EXPECT_EQ(engine->Load().queued_tokens, 0);
}

}  // namespace
}  // namespace weir
