#include "engine/kernels/thread_pool.h"

#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace weir {
namespace {

double CpuSeconds(clockid_t clock) {
  timespec used{};
  clock_gettime(clock, &used);
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

// CPU time, not wall time, so that a busy machine changes nothing.
void Compute(double seconds) {
  const double end = CpuSeconds(CLOCK_THREAD_CPUTIME_ID) + seconds;
  while (CpuSeconds(CLOCK_THREAD_CPUTIME_ID) < end) {
  }
}

TEST(ThreadPoolTest, EveryUnitRunsExactlyOnce) {
  for (const int threads : {1, 2, 5}) {
    auto pool = ThreadPool::Create(threads);
    ASSERT_TRUE(pool.has_value());
    EXPECT_EQ((*pool)->num_threads(), threads);
    for (int round = 0; round < 200; ++round) {
      const int units = round % 17;
      std::vector<std::atomic<int>> counts(17);
      (*pool)->Run(units, [&](int unit, int) { ++counts[static_cast<size_t>(unit)]; });
      for (int i = 0; i < 17; ++i) ASSERT_EQ(counts[static_cast<size_t>(i)], i < units ? 1 : 0);
    }
  }
}

TEST(ThreadPoolTest, EveryUnitRunsOnceWhateverTheGrain) {
  auto pool = ThreadPool::Create(3);
  ASSERT_TRUE(pool.has_value());
  for (const int units : {0, 1, 2, 7, 16, 100, 150'000})
    for (const int grain : {1, 2, 5, 200}) {
      std::vector<std::atomic<int>> counts(static_cast<size_t>(units));
      (*pool)->Run(units, grain, [&](int unit, int) { ++counts[static_cast<size_t>(unit)]; });
      for (int i = 0; i < units; ++i) ASSERT_EQ(counts[static_cast<size_t>(i)].load(), 1) << i;
    }
}

TEST(ThreadPoolTest, ClaimsAreLongAtFirstAndShortAtTheEnd) {
  auto pool = ThreadPool::Create(2);
  ASSERT_TRUE(pool.has_value());
  std::vector<int> runs;  // of neighbouring units, in the worker's order
  int last_unit = -2;
  std::atomic<int> done_by_worker{0};
  (*pool)->Run(100, 20, [&](int unit, int thread) {
    if (thread == 0) {
      while (done_by_worker.load() < 60) std::this_thread::yield();
      return;
    }
    unit == last_unit + 1 ? ++runs.back() : (runs.push_back(1), 0);
    last_unit = unit;
    ++done_by_worker;
  });
  ASSERT_GE(runs.size(), 4u);
  EXPECT_EQ(runs.front(), 20);
  EXPECT_TRUE(std::is_sorted(runs.rbegin(), runs.rend()));
  EXPECT_LE(runs.back(), 5);
}

TEST(ThreadPoolTest, OfTwoThreadsOneHasTheFirstUnitsAndOneTheLast) {
  auto pool = ThreadPool::Create(2);
  ASSERT_TRUE(pool.has_value());
  for (const int units : {2, 7, 100, 200'000})
    for (const int grain : {1, 3}) {
      std::vector<int> threads(static_cast<size_t>(units), -1);
      (*pool)->Run(units, grain, [&](int unit, int thread) { threads[static_cast<size_t>(unit)] = thread; });
      EXPECT_TRUE(std::is_sorted(threads.begin(), threads.end())) << units << " units, grain " << grain;
      EXPECT_GE(threads.front(), 0);
    }
}

TEST(ThreadPoolTest, SaysWhichUnitAThreadDoesNext) {
  auto pool = ThreadPool::Create(2);
  ASSERT_TRUE(pool.has_value());
  for (const int units : {100, 200'000})
    for (const int grain : {1, 20}) {
      std::vector<int> units_of_worker;
      std::vector<int> said;
      std::atomic<int> done_by_worker{0};
      const int most = units / 2;
      (*pool)->Run(units, grain, [&](int unit, int thread, int next) {
        if (thread == 0) {
          // Nobody else claims meanwhile, so what the worker is told comes true.
          while (done_by_worker.load() < most) std::this_thread::yield();
          return;
        }
        if (done_by_worker.load() < most) {
          units_of_worker.push_back(unit);
          said.push_back(next);
        }
        ++done_by_worker;
      });
      ASSERT_EQ(units_of_worker.size(), static_cast<size_t>(most));
      for (size_t i = 0; i + 1 < units_of_worker.size(); ++i)
        ASSERT_EQ(said[i], units_of_worker[i + 1]) << "behind unit " << units_of_worker[i];
      if (units == 100) {
        EXPECT_EQ(units_of_worker.front(), (*pool)->FirstUnit(units, grain, 1));
      }
      EXPECT_EQ((*pool)->FirstUnit(units, grain, 0), 0);
    }
  auto alone = ThreadPool::Create(1);
  ASSERT_TRUE(alone.has_value());
  std::vector<int> said;
  (*alone)->Run(3, [&](int, int, int next) { said.push_back(next); });
  EXPECT_EQ(said, (std::vector<int>{1, 2, -1}));
}

// A worker that looks for the stop and then for the phase could miss both and sleep for ever.
TEST(ThreadPoolTest, EndsWheneverItIsDestroyed) {
  for (int round = 0; round < 500; ++round) {
    auto pool = ThreadPool::Create(3);
    ASSERT_TRUE(pool.has_value());
    std::atomic<int> count{0};
    if (round % 3 != 0) (*pool)->Run(round % 3, [&](int, int) { ++count; });
    ASSERT_EQ(count.load(), round % 3);
  }
}

TEST(ThreadPoolTest, ThreadNumbersAreInRangeAndNeverShared) {
  auto pool = ThreadPool::Create(3);
  ASSERT_TRUE(pool.has_value());
  std::vector<std::atomic<int>> busy(3);
  std::atomic<bool> shared{false};
  for (int round = 0; round < 50; ++round)
    (*pool)->Run(64, [&](int, int thread) {
      if (busy[static_cast<size_t>(thread)].fetch_add(1) != 0) shared = true;
      busy[static_cast<size_t>(thread)].fetch_sub(1);
    });
  EXPECT_FALSE(shared);
}

TEST(ThreadPoolTest, WhatUnitsWroteIsSeenAfterRun) {
  auto pool = ThreadPool::Create(4);
  ASSERT_TRUE(pool.has_value());
  std::vector<int> values(1000, 0);
  for (int round = 1; round <= 100; ++round) {
    (*pool)->Run(1000, [&](int unit, int) { values[static_cast<size_t>(unit)] += 1; });
    for (const int v : values) ASSERT_EQ(v, round);
  }
}

TEST(ThreadPoolTest, ManyShortPhasesOnFarTooManyThreads) {
  auto pool = ThreadPool::Create(16);
  ASSERT_TRUE(pool.has_value());
  std::atomic<int> sum{0};
  int expected = 0;
  for (int round = 0; round < 3000; ++round) {
    const int units = 2 + round % 5;
    (*pool)->Run(units, [&](int unit, int) { sum += unit + 1; });
    expected += units * (units + 1) / 2;
    ASSERT_EQ(sum.load(), expected);
  }
}

// Both share the cores: neither may wait for a worker that the other keeps from running.
TEST(ThreadPoolTest, TwoPoolsOnTheSameCoresBothFinish) {
  std::vector<std::thread> engines;
  std::atomic<int> finished{0};
  for (int engine = 0; engine < 2; ++engine) {
    engines.emplace_back([&] {
      auto pool = ThreadPool::Create(ThreadPool::AvailableCores() + 1);
      ASSERT_TRUE(pool.has_value());
      std::atomic<int> sum{0};
      for (int round = 1; round <= 2000; ++round) {
        (*pool)->Run(8, [&](int, int) { ++sum; });
        ASSERT_EQ(sum.load(), 8 * round);
        // Long enough for the workers to fall asleep now and then.
        if (round % 200 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      ++finished;
    });
  }
  for (std::thread& engine : engines) engine.join();
  EXPECT_EQ(finished.load(), 2);
}

TEST(ThreadPoolTest, UsesNoCpuBetweenPhasesForLong) {
  for (const int threads : {2, 8}) {
    auto pool = ThreadPool::Create(threads);
    ASSERT_TRUE(pool.has_value());
    std::atomic<int> sum{0};
    for (int round = 0; round < 20; ++round) (*pool)->Run(16, [&](int, int) { ++sum; });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const double before = CpuSeconds(CLOCK_PROCESS_CPUTIME_ID);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    EXPECT_LT(CpuSeconds(CLOCK_PROCESS_CPUTIME_ID) - before, 0.05) << threads << " threads";
    EXPECT_EQ(sum.load(), 320);
  }
}

// Waiting may cost something, but with eight threads per core it may not cost several times the work.
TEST(ThreadPoolTest, FarTooManyThreadsDoNotSpendTheirTimeWaiting) {
  auto pool = ThreadPool::Create(8 * ThreadPool::AvailableCores());
  ASSERT_TRUE(pool.has_value());
  std::atomic<int64_t> worked_ns{0};
  const double before = CpuSeconds(CLOCK_PROCESS_CPUTIME_ID);
  for (int round = 0; round < 300; ++round) {
    (*pool)->Run(16, [&](int, int) {
      const double start = CpuSeconds(CLOCK_THREAD_CPUTIME_ID);
      Compute(50e-6);
      worked_ns += static_cast<int64_t>(1e9 * (CpuSeconds(CLOCK_THREAD_CPUTIME_ID) - start));
    });
  }
  const double used = CpuSeconds(CLOCK_PROCESS_CPUTIME_ID) - before;
  EXPECT_LT(used, 2 * 1e-9 * static_cast<double>(worked_ns.load()));
}

// Workers beyond the cores sleep, but none of them is lost: whoever is awake takes all units.
TEST(ThreadPoolTest, PhasesAfterARestAreComplete) {
  auto pool = ThreadPool::Create(6);
  ASSERT_TRUE(pool.has_value());
  for (int round = 0; round < 50; ++round) {
    std::this_thread::sleep_for(std::chrono::microseconds(500));  // everybody sleeps
    std::vector<std::atomic<int>> counts(40);
    (*pool)->Run(40, [&](int unit, int) { ++counts[static_cast<size_t>(unit)]; });
    for (const auto& count : counts) ASSERT_EQ(count.load(), 1);
  }
}

}  // namespace
}  // namespace weir
