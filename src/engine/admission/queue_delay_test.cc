#include "engine/admission/queue_delay.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TimePoint At(int64_t ms) { return TimePoint(seconds(100) + milliseconds(ms)); }

class QueueDelayTest : public testing::Test {
 protected:
  // A step every 100 ms, with the oldest at `delay` in each.
  void Steps(int from_ms, int until_ms, Duration delay) {
    for (int ms = from_ms; ms < until_ms; ms += 100) queue_.Observe(delay, At(ms));
  }
  QueueDelay queue_{seconds(1), milliseconds(200)};
};

TEST_F(QueueDelayTest, IsOverloadedAfterAnIntervalInWhichSomebodyAlwaysWaitedTooLong) {
  Steps(0, 1000, milliseconds(201));
  EXPECT_FALSE(queue_.overloaded());
  Steps(1000, 1100, milliseconds(201));
  EXPECT_TRUE(queue_.overloaded());
}

TEST_F(QueueDelayTest, OneShortWaitInAnIntervalIsEnoughToCallItABurst) {
  Steps(0, 500, seconds(5));
  Steps(500, 600, milliseconds(200));
  Steps(600, 1100, seconds(5));
  EXPECT_FALSE(queue_.overloaded());
}

TEST_F(QueueDelayTest, EndsWithTheFirstIntervalThatReachesTheTarget) {
  Steps(0, 1100, seconds(3));
  ASSERT_TRUE(queue_.overloaded());
  Steps(1100, 1500, seconds(3));
  Steps(1500, 2000, milliseconds(200));
  EXPECT_TRUE(queue_.overloaded()) << "the interval is not over";
  Steps(2000, 2100, seconds(3));
  EXPECT_FALSE(queue_.overloaded());
}

TEST_F(QueueDelayTest, AQuietTimeWithoutStepsEndsIt) {
  Steps(0, 1100, seconds(3));
  ASSERT_TRUE(queue_.overloaded());
  queue_.Observe(Duration::zero(), At(1100));  // the last one left
  queue_.Observe(milliseconds(1), At(60000));
  EXPECT_FALSE(queue_.overloaded());
}

TEST_F(QueueDelayTest, GivesUpWhoWaitedLongerThanAnIntervalAndOnlyWhileOverloaded) {
  EXPECT_FALSE(queue_.GivesUp(seconds(60)));
  Steps(0, 1100, seconds(3));
  EXPECT_FALSE(queue_.GivesUp(seconds(1)));
  EXPECT_TRUE(queue_.GivesUp(milliseconds(1001)));
}

}  // namespace
}  // namespace weir
