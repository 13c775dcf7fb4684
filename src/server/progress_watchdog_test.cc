#include "server/progress_watchdog.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kStart{hours(1)};
constexpr Duration kStep = milliseconds(20);

TEST(ProgressWatchdogTest, AnIdleServerIsNeverStalled) {
  ProgressWatchdog watchdog;
  for (int hour = 0; hour < 100; ++hour)
    EXPECT_FALSE(watchdog.Observe(false, kStart, kStep, kStart + hours(hour)));
}

TEST(ProgressWatchdogTest, WorkThatStandsStillForTenSecondsIsAStall) {
  ProgressWatchdog watchdog;
  const TimePoint long_ago = kStart - hours(1);
  EXPECT_FALSE(watchdog.Observe(false, long_ago, kStep, kStart));
  // The work came now: what matters is not how long the engine had rested before.
  EXPECT_FALSE(watchdog.Observe(true, long_ago, kStep, kStart + seconds(1)));
  EXPECT_FALSE(watchdog.Observe(true, long_ago, kStep, kStart + seconds(10)));
  EXPECT_TRUE(watchdog.Observe(true, long_ago, kStep, kStart + seconds(11)));
  EXPECT_TRUE(watchdog.Observe(true, long_ago, kStep, kStart + seconds(1000)));
}

TEST(ProgressWatchdogTest, OneStepEndsTheStall) {
  ProgressWatchdog watchdog;
  watchdog.Observe(true, kStart, kStep, kStart);
  EXPECT_TRUE(watchdog.Observe(true, kStart, kStep, kStart + seconds(60)));
  EXPECT_FALSE(watchdog.Observe(true, kStart + seconds(60), kStep, kStart + seconds(61)));
  EXPECT_TRUE(watchdog.Observe(true, kStart + seconds(60), kStep, kStart + seconds(72)));
}

TEST(ProgressWatchdogTest, SlowMachinesHaveTenStepsAndTheFirstStepHasLonger) {
  ProgressWatchdog slow;
  slow.Observe(true, kStart, seconds(5), kStart);
  EXPECT_FALSE(slow.Observe(true, kStart, seconds(5), kStart + seconds(50)));
  EXPECT_TRUE(slow.Observe(true, kStart, seconds(5), kStart + seconds(51)));
  ProgressWatchdog first;
  first.Observe(true, TimePoint{}, Duration::zero(), kStart);
  EXPECT_FALSE(first.Observe(true, TimePoint{}, Duration::zero(), kStart + seconds(120)));
  EXPECT_TRUE(first.Observe(true, TimePoint{}, Duration::zero(), kStart + seconds(121)));
}

}  // namespace
}  // namespace weir
