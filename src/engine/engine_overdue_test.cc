// What the engine does when it is slower than it promised: the newest first, and who waited too long is given up.

#include <gtest/gtest.h>

#include <thread>

#include "engine/engine.h"
#include "tests/support/engine_harness.h"

namespace weir {
namespace {

// Four promised a place at an idle engine's door, which is not asked again; the first then runs for very long.
struct Stuck {
  explicit Stuck(const EngineOptions& options) : engine(MakeEngine(options)) {
    Admitted<Reservation> place = engine->Reserve(400, 4);
    EXPECT_TRUE(place.ok());
    for (uint64_t i = 0; i < 4; ++i) {
      auto submitted = engine->Submit(place.value.Split(), Greedy(i, 20, i == 0 ? 400 : 4), nullptr);
      EXPECT_TRUE(submitted.ok()) << submitted.refused.status.message();
      streams.push_back(submitted.value);
    }
  }
  // Until the first one has ended, with steps that take `pause` more than they should.
  std::vector<Answer> Run(Duration pause) {
    std::vector<Answer> answers(streams.size());
    while (engine->Step()) {
      was_overloaded = was_overloaded || engine->Load().overloaded;
      for (size_t i = 0; i < streams.size(); ++i) Read(*streams[i], &answers[i]);
      std::this_thread::sleep_for(pause);
    }
    EXPECT_EQ(engine->CheckInvariants(), "");
    EXPECT_TRUE(engine->idle());
    return answers;
  }

  std::unique_ptr<Engine> engine;
  std::vector<std::shared_ptr<RequestStream>> streams;
  bool was_overloaded = false;
};

EngineOptions ShortPatience() {
  EngineOptions options = Options();
  options.max_num_seqs = 1;
  options.ttft_objective = std::chrono::milliseconds(20);
  return options;
}

TEST(EngineOverdueTest, GivesUpWhoWaitedLongerThanAnIntervalWhileTheQueueStands) {
  Stuck stuck(ShortPatience());
  const std::vector<Answer> answers = stuck.Run(std::chrono::milliseconds(1));
  EXPECT_EQ(answers[0].finish, FinishReason::kLength);
  EXPECT_TRUE(stuck.was_overloaded);
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(answers[i].error.code(), StatusCode::kResourceExhausted);
    EXPECT_EQ(answers[i].error.reason(), "overloaded");
    EXPECT_TRUE(answers[i].tokens.empty()) << "given up after it began";
  }
  EXPECT_EQ(stuck.engine->Load().oldest_waiting, TimePoint{});
}

TEST(EngineOverdueTest, WithoutBoundsNobodyIsGivenUp) {
  EngineOptions options = ShortPatience();
  options.bounded_queue = false;
  Stuck stuck(options);
  for (const Answer& answer : stuck.Run(std::chrono::milliseconds(1)))
    EXPECT_EQ(answer.finish, FinishReason::kLength);
  EXPECT_FALSE(stuck.was_overloaded);
}

TEST(EngineOverdueTest, WhoeverIsGivenUpIsToldATurnOfItsOwn) {
  Stuck stuck(ShortPatience());
  stuck.engine->Step();
  const Duration first = stuck.engine->TurnOfRefused(20);
  Duration last = first;
  for (int i = 0; i < 3000; ++i) last = stuck.engine->TurnOfRefused(20);
  EXPECT_GE(first, std::chrono::milliseconds(100));
  EXPECT_LE(last, std::chrono::seconds(60));
  EXPECT_GT(last, first);
  EXPECT_GT(stuck.engine->Load().oldest_waiting, TimePoint{});
  stuck.Run({});
}

}  // namespace
}  // namespace weir
