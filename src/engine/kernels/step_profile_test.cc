#include "engine/kernels/step_profile.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <set>
#include <string>

#include "engine/kernels/thread_pool.h"

namespace weir {
namespace {

Duration Sum(const StepSegments& segments) {
  return std::accumulate(segments.begin(), segments.end(), Duration::zero());
}

Duration Of(const StepSegments& segments, StepSegment segment) {
  return segments[static_cast<size_t>(segment)];
}

void Spin(Duration length) {
  const TimePoint end = MonotonicClock::Get().Now() + length;
  while (MonotonicClock::Get().Now() < end) {
  }
}

TEST(StepProfileTest, EverySegmentHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int i = 0; i < kNumStepSegments; ++i) names.insert(StepSegmentName(static_cast<StepSegment>(i)));
  EXPECT_EQ(names.size(), static_cast<size_t>(kNumStepSegments));
  EXPECT_EQ(names.count(""), 0u);
}

TEST(StepProfileTest, SegmentsSumToTheStepAndNothingIsLeftFromTheLastOne) {
  StepProfile profile;
  for (int step = 0; step < 3; ++step) {
    profile.Begin(StepSegment::kSchedule);
    Spin(std::chrono::microseconds(200));
    if (step == 0) profile.Enter(StepSegment::kAttention);
    Spin(std::chrono::microseconds(200));
    const StepSegments segments = profile.End(std::chrono::milliseconds(8));
    EXPECT_NEAR(static_cast<double>(Sum(segments).count()), 8e6, kNumStepSegments);
    EXPECT_GT(Of(segments, StepSegment::kSchedule), Duration::zero());
    EXPECT_EQ(Of(segments, StepSegment::kAttention) > Duration::zero(), step == 0);
    EXPECT_EQ(Of(segments, StepSegment::kSampling), Duration::zero());
  }
}

TEST(StepProfileTest, WaitingForAnotherWorkerIsTheBarriersTime) {
  auto pool = ThreadPool::Create(2);
  ASSERT_TRUE(pool.has_value());
  StepProfile profile;
  (*pool)->set_profile(&profile);
  profile.Begin(StepSegment::kMatmulFfn);
  std::atomic<bool> other_began{false};
  // Worker 0 ends its unit as soon as the other has begun one, which then takes much longer.
  (*pool)->Run(2, [&](int, int thread) {
    if (thread == 0) {
      while (!other_began.load()) {
      }
    } else {
      other_began = true;
      Spin(std::chrono::milliseconds(20));
    }
  });
  EXPECT_EQ(profile.current(), StepSegment::kBarrierWait);
  const StepSegments segments = profile.End(std::chrono::seconds(1));
  EXPECT_GT(Of(segments, StepSegment::kBarrierWait), Duration::zero());
  EXPECT_GT(Of(segments, StepSegment::kMatmulFfn), Duration::zero());
  EXPECT_NEAR(static_cast<double>(Sum(segments).count()), 1e9, kNumStepSegments);
}

TEST(StepProfileTest, APhaseThatWorkerZeroRunsAloneHasNoBarrier) {
  auto pool = ThreadPool::Create(2);
  ASSERT_TRUE(pool.has_value());
  StepProfile profile;
  (*pool)->set_profile(&profile);
  profile.Begin(StepSegment::kEmbed);
  (*pool)->Run(1, [](int, int) {});
  EXPECT_EQ(profile.current(), StepSegment::kEmbed);
}

}  // namespace
}  // namespace weir
