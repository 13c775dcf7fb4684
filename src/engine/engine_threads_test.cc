// The engine on its own thread, among others.

#include <gtest/gtest.h>
#include <time.h>

#include <atomic>
#include <thread>

#include "engine/engine.h"
#include "engine/kernels/thread_pool.h"
#include "tests/support/engine_harness.h"

namespace weir {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

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

TEST(EngineTest, TwoEnginesOnTheSameCoresBothFinish) {
  EngineOptions options = Options();
  options.num_threads = ThreadPool::AvailableCores();
  const std::unique_ptr<Engine> engines[] = {MakeEngine(options), MakeEngine(options)};
  CountingSink sinks[2];
  for (const auto& engine : engines) engine->Start();
  for (int i = 0; i < 8; ++i) {
    for (int e = 0; e < 2; ++e) MustSubmit(*engines[e], Greedy(i, 20, 30), &sinks[e]);
  }
  const TimePoint give_up = MonotonicClock::Get().Now() + seconds(100);
  for (const auto& engine : engines) {
    while (!engine->idle() && MonotonicClock::Get().Now() < give_up)
      std::this_thread::sleep_for(milliseconds(1));
    engine->Stop();
  }
  for (CountingSink& sink : sinks) {
    ASSERT_EQ(sink.answers().size(), 8u);
    for (const auto& [id, answer] : sink.answers()) EXPECT_EQ(answer.tokens.size(), 30u) << id;
  }
}

TEST(EngineTest, SleepsWhileThereIsNothingToDo) {
  EngineOptions options = Options();
  options.num_threads = 4;  // its workers must sleep too
  const auto engine = MakeEngine(options);
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
