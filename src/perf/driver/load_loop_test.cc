// The loop that sends, without a server: what it does when its own thread is late.
#include "perf/driver/load_loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "perf/driver/null_target.h"
#include "perf/statistics/load_row.h"

namespace weir {
namespace {

struct Played {
  std::vector<RequestRecord> records;
  std::vector<double> lag_ms;
};

// `hold` runs on the loop's thread before the n-th request.
Played Play(int requests, double rate_per_s, const std::function<void(int64_t)>& hold) {
  // Only its thread and timers are used.
  auto client = std::make_unique<HttpClient>(Url{"127.0.0.1", 1, "/"});
  NullTarget target;
  LoadLoopOptions options;
  options.id_prefix = "r";
  options.request.max_tokens = 1;
  options.prompt = [&](int64_t n) {
    hold(n);
    return Prompt{"p", "text"};
  };
  for (int i = 0; i < requests; ++i) options.arrivals_s.push_back(i / rate_per_s);
  LoadLoop loop(std::move(options), client.get(), &target);
  loop.Start();
  while (!loop.done()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  client.reset();  // its last timers still know the loop
  return {std::move(loop.records()), loop.loop_lag_ms()};
}

TEST(LoadLoopTest, AStallOfTheClientMovesNoLaterArrival) {
  const Played played = Play(300, 200, [](int64_t n) {
    if (n == 100) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  });
  ASSERT_EQ(played.records.size(), 300u);
  for (size_t i = 0; i < 300; ++i)
    EXPECT_NEAR(played.records[i].intended_ms, static_cast<double>(i) * 5, 1e-3);
  // The stall is over when it is over: what was due in it is sent late at once, what is due later on time.
  std::vector<double> late;
  for (size_t i = 200; i < 300; ++i)
    late.push_back(played.records[i].sent_ms - played.records[i].intended_ms);
  std::sort(late.begin(), late.end());
  EXPECT_LT(late[50], 25);
  EXPECT_GE(played.records[101].sent_ms - played.records[101].intended_ms, 40);
}

TEST(LoadLoopTest, AClientThatIsSlowedSaysSo) {
  const Played played =
      Play(40, 40, [](int64_t) { std::this_thread::sleep_for(std::chrono::milliseconds(24)); });
  LoadRowInput input;
  input.records = played.records;
  input.open_loop = true;
  input.num_sent = 40;
  input.client.loop_lag_ms = played.lag_ms;
  Validity validity;
  CheckLoadRow(input, LoadRow(input), &validity);
  bool invalid = false;
  for (const ValidityCheck& check : validity.checks())
    invalid = invalid || ((check.id == "V-01" || check.id == "V-02") && check.verdict == Verdict::kInvalid);
  EXPECT_TRUE(invalid);
}

TEST(LoadLoopTest, LiveNumbersFollowWhatEnded) {
  auto client = std::make_unique<HttpClient>(Url{"127.0.0.1", 1, "/"});
  NullTarget target;
  LoadLoopOptions options;
  options.request.max_tokens = 1;
  options.arrivals_s = {0, 0.01, 0.02};
  options.prompt = [](int64_t) { return Prompt{"p", "text"}; };
  LoadLoop loop(std::move(options), client.get(), &target);
  EXPECT_FALSE(loop.live().p50_ms.has_value());
  loop.Start();
  while (!loop.done()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  client.reset();
  EXPECT_EQ(loop.live().ok, 3);
  EXPECT_EQ(loop.live().failed, 0);
  EXPECT_TRUE(loop.live().p95_ms.has_value());
}

}  // namespace
}  // namespace weir
