#include "engine/kernels/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace weir {
namespace {

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

}  // namespace
}  // namespace weir
