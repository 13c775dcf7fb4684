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

// Nobody listens for the first attempts at every request.
class DeafTarget final : public Target {
 public:
  explicit DeafTarget(int deaf_attempts) : deaf_attempts_(deaf_attempts) {}
  void Send(TargetRequest request, TimePoint run_start, std::function<void(RequestRecord)> on_done) override {
    const bool deaf = request.attempt <= deaf_attempts_;
    NullTarget().Send(std::move(request), run_start, [&](RequestRecord record) {
      if (deaf) {
        record.outcome = Outcome::kFailed;
        record.error = RecordError{"connect_refused", 0, "connect", "refused"};
      }
      on_done(std::move(record));
    });
  }
  std::string name() const override { return "deaf"; }

 private:
  int deaf_attempts_;
};

TEST(LoadLoopTest, ARequestThatNeverConnectedIsTriedAgainAfterAPause) {
  auto client = std::make_unique<HttpClient>(Url{"127.0.0.1", 1, "/"});
  DeafTarget target(1);
  LoadLoopOptions options;
  options.requests = 3;
  options.concurrency = 3;
  options.retries = 1;
  options.request.max_tokens = 1;
  options.prompt = [](int64_t) { return Prompt{"p", "text"}; };
  LoadLoop loop(std::move(options), client.get(), &target);
  loop.Start();
  while (!loop.done()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  client.reset();
  ASSERT_EQ(loop.records().size(), 6u);
  const auto retried = std::count_if(loop.records().begin(), loop.records().end(),
                                     [](const RequestRecord& record) { return record.retried; });
  EXPECT_EQ(retried, 3);
  EXPECT_EQ(loop.num_ended(), 3);
  EXPECT_EQ(loop.live().ok, 3);
  EXPECT_EQ(loop.live().failed, 0);
  for (const RequestRecord& record : loop.records()) {
    if (record.attempt == 2) {
      EXPECT_GE(record.sent_ms - record.intended_ms, 499);
    }
  }
}

TEST(LoadLoopTest, ARunThatEndsInAPauseKeepsTheLastAttemptAsTheOutcome) {
  auto client = std::make_unique<HttpClient>(Url{"127.0.0.1", 1, "/"});
  DeafTarget target(100);
  LoadLoopOptions options;
  options.requests = 2;
  options.concurrency = 2;
  options.retries = 100;
  options.prompt = [](int64_t) { return Prompt{"p", "text"}; };
  LoadLoop loop(std::move(options), client.get(), &target);
  loop.Start();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // inside the pause of half a second
  loop.RequestStop();
  client.reset();
  loop.CancelRemaining();
  ASSERT_EQ(loop.records().size(), 2u);
  for (const RequestRecord& record : loop.records()) {
    EXPECT_EQ(record.outcome, Outcome::kFailed);
    EXPECT_FALSE(record.retried);
  }
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
