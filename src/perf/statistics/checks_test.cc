// Every check of the verdict on a run that it must catch, and on one that it must let pass.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/rng.h"
#include "perf/statistics/backlog.h"
#include "perf/statistics/clock_check.h"
#include "perf/statistics/load_row.h"
#include "perf/statistics/machine_checks.h"
#include "perf/statistics/prompt_checks.h"
#include "perf/statistics/request_metrics.h"

namespace weir {
namespace {

// The worst verdict among the checks of that id; nothing when there is none.
std::optional<Verdict> VerdictOf(const Validity& validity, std::string_view id) {
  std::optional<Verdict> worst;
  for (const ValidityCheck& check : validity.checks()) {
    if (check.id == id && (!worst || check.verdict > *worst)) worst = check.verdict;
  }
  return worst;
}

RequestRecord Ok(int64_t seq, double intended, double sent, double first, double done, int tokens = 2) {
  RequestRecord record;
  record.seq = seq;
  record.intended_ms = intended;
  record.sent_ms = sent;
  record.first_byte_ms = record.first_token_ms = first;
  record.last_token_ms = record.done_ms = done;
  record.prompt_tokens = 50;
  record.max_tokens = record.output_tokens = tokens;
  record.token_times_ms = {first, done};
  record.chunk_sizes = {1, 1};
  record.outcome = Outcome::kOk;
  return record;
}

struct Simulated {
  std::vector<RequestRecord> records;
  std::vector<InFlightSample> in_flight;
};

// Poisson arrivals at `servers` identical servers with exponential service and one queue.
Simulated Simulate(uint64_t seed, double rate_per_s, int servers, double service_s, int count) {
  Rng rng(seed);
  Simulated out;
  std::vector<double> free_at(static_cast<size_t>(servers), 0.0);
  std::multimap<double, int> changes;
  double now = 0;
  for (int i = 0; i < count; ++i) {
    now += rng.NextExponential() / rate_per_s;
    double& server = *std::min_element(free_at.begin(), free_at.end());
    const double begin = std::max(now, server);
    server = begin + service_s * rng.NextExponential();
    out.records.push_back(Ok(i, now * 1000, now * 1000, begin * 1000 + 1, server * 1000 + 1));
    changes.insert({now * 1000, 1});
    changes.insert({server * 1000 + 1, -1});
  }
  int in_flight = 0;
  for (const auto& [at, change] : changes) out.in_flight.push_back({at, in_flight += change});
  return out;
}

Validity CheckOpen(const Simulated& run) {
  LoadRowInput input;
  input.records = run.records;
  input.open_loop = true;
  input.request_rate_per_s = 1;
  input.in_flight = run.in_flight;
  input.num_sent = static_cast<int64_t>(run.records.size());
  Validity validity;
  CheckLoadRow(input, LoadRow(input), &validity);
  return validity;
}

TEST(BacklogTest, ARateAboveCapacityIsCalledSaturated) {
  double growth = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    // Eight servers of 1 s: 8 requests/s are the capacity, 12 arrive.
    const Simulated run = Simulate(seed, 12, 8, 1.0, 600);
    EXPECT_EQ(VerdictOf(CheckOpen(run), "V-06"), Verdict::kInvalid) << seed;
    const auto backlog = MeasureBacklog(run.in_flight, *ArrivalWindow(run.records));
    ASSERT_TRUE(backlog.has_value());
    growth += backlog->requests_per_s / 20;
  }
  // The difference of 600 arrivals and as many ends scatters by 0.7/s in one run, by 0.16/s in their mean.
  EXPECT_NEAR(growth, 4, 0.5);
}

TEST(BacklogTest, ARateTheServerKeepsUpWithIsNot) {
  int saturated = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    const Validity validity = CheckOpen(Simulate(seed, 4, 8, 1.0, 400));
    saturated += VerdictOf(validity, "V-06") == Verdict::kInvalid;
  }
  EXPECT_LE(saturated, 3);
}

TEST(BacklogTest, AClosedLoopIsNotAskedAndNoSamplesAreNoAnswer) {
  EXPECT_FALSE(MeasureBacklog({}, {0, 1000}).has_value());
  EXPECT_FALSE(ArrivalWindow({}).has_value());
  Simulated run = Simulate(1, 12, 8, 1.0, 100);
  LoadRowInput input;
  input.records = run.records;
  input.concurrency = 8;
  input.in_flight = run.in_flight;
  EXPECT_TRUE(LoadRow(input)["backlog"].is_null());
}

std::vector<RequestRecord> Cached(int count, int cached) {
  std::vector<RequestRecord> records;
  for (int i = 0; i < count; ++i) {
    records.push_back(Ok(i, i, i, i + 1, i + 2));
    records.back().cached_tokens = cached;
  }
  return records;
}

std::optional<Verdict> CacheVerdict(std::span<const RequestRecord> records, const ExpectedCache& expected) {
  Validity validity;
  CheckPrompts(records, expected, "", &validity);
  return VerdictOf(validity, "V-07");
}

TEST(WarmCacheTest, PromptsThatTheServerKnowsVoidTheRun) {
  // All 50 tokens but the last two were there, 16 of them by the template.
  EXPECT_EQ(CacheVerdict(Cached(10, 48), {.template_tokens = 16, .dataset_ratio = 0}), Verdict::kInvalid);
  EXPECT_EQ(CacheVerdict(Cached(10, 17), {.template_tokens = 16, .dataset_ratio = 0}), Verdict::kWarn);
}

TEST(WarmCacheTest, WhatTemplateAndDatasetShareIsExpected) {
  EXPECT_EQ(CacheVerdict(Cached(10, 16), {.template_tokens = 16, .dataset_ratio = 0}), Verdict::kValid);
  EXPECT_EQ(CacheVerdict(Cached(10, 41), {.template_tokens = 16, .dataset_ratio = 0.5}), Verdict::kValid);
  // Nobody measured the template's part: what all prompts have in common stands for it.
  EXPECT_EQ(CacheVerdict(Cached(10, 16), {}), Verdict::kValid);
  std::vector<RequestRecord> mixed = Cached(10, 16);
  for (size_t i = 5; i < mixed.size(); ++i) mixed[i].cached_tokens = 48;
  EXPECT_EQ(CacheVerdict(mixed, {}), Verdict::kInvalid);
}

TEST(WarmCacheTest, AServerThatDoesNotSayIsNotJudged) {
  std::vector<RequestRecord> silent = Cached(10, 0);
  for (RequestRecord& record : silent) record.cached_tokens.reset();
  EXPECT_FALSE(CacheVerdict(silent, {}).has_value());
}

TEST(PromptLengthTest, PromptsOfAnotherLengthThanAskedForAreCounted) {
  std::vector<RequestRecord> records = Cached(100, 0);
  for (RequestRecord& record : records) {
    record.prompt_tokens_target = 128;
    record.prompt_tokens = 128 + 31;  // the template's constant
  }
  const auto verdict = [&] {
    Validity validity;
    CheckPrompts(records, {}, "", &validity);
    return VerdictOf(validity, "V-09");
  };
  EXPECT_EQ(verdict(), Verdict::kValid);
  EXPECT_EQ(PromptLengthDrift(records)->template_tokens, 31);
  records[7].prompt_tokens = 160;
  EXPECT_EQ(verdict(), Verdict::kWarn);
  for (size_t i = 0; i < 10; ++i) records[i].prompt_tokens = 150 + static_cast<int>(i % 3);
  EXPECT_EQ(verdict(), Verdict::kInvalid);
  // A template cannot take tokens away: prompts that are all too short are all wrong.
  for (RequestRecord& record : records) record.prompt_tokens = 100;
  EXPECT_EQ(PromptLengthDrift(records)->differ, 100);
  for (RequestRecord& record : records) record.prompt_tokens_target.reset();
  EXPECT_FALSE(PromptLengthDrift(records).has_value());
}

MachineActivity Activity(double at_s, double total, double busy, double stolen, double own, double pages,
                         double mhz) {
  MachineActivity out;
  out.at = TimePoint{} + FromSeconds(at_s);
  out.total_s = total;
  out.busy_s = busy;
  out.stolen_s = stolen;
  out.own_s = own;
  out.swapped_pages = pages;
  out.max_mhz = mhz;
  return out;
}

std::optional<Verdict> MachineVerdict(const MachineActivity& after, std::optional<double> server_cpu_s) {
  Validity validity;
  CheckMachine(Activity(0, 1000, 500, 10, 1, 7, 3000), after, server_cpu_s, &validity);
  return VerdictOf(validity, "V-13");
}

TEST(MachineTest, ASharedMachineIsNoticedByEachOfItsSigns) {
  // Ten seconds of two cores; this process used 15 s of the 20, the server 4 s.
  EXPECT_EQ(MachineVerdict(Activity(10, 1020, 519, 10, 16, 7, 3000), 4.0), Verdict::kValid);
  EXPECT_EQ(MachineVerdict(Activity(10, 1020, 519, 10, 16, 7, 3000), 2.0), Verdict::kWarn);  // strangers 10 %
  EXPECT_EQ(MachineVerdict(Activity(10, 1020, 519, 10, 8, 7, 3000), 4.0), Verdict::kInvalid);   // 35 %
  EXPECT_EQ(MachineVerdict(Activity(10, 1020, 519, 11, 16, 7, 3000), 4.0), Verdict::kWarn);     // steal 5 %
  EXPECT_EQ(MachineVerdict(Activity(10, 1020, 519, 15, 16, 7, 3000), 4.0), Verdict::kInvalid);  // 25 %
  EXPECT_EQ(MachineVerdict(Activity(10, 1020, 519, 10, 16, 8, 3000), 4.0), Verdict::kWarn);     // one page
  EXPECT_EQ(MachineVerdict(Activity(10, 1020, 519, 10, 16, 9000, 3000), 4.0), Verdict::kInvalid);
  EXPECT_EQ(MachineVerdict(Activity(10, 1020, 519, 10, 16, 7, 2800), 4.0), Verdict::kWarn);
  EXPECT_EQ(MachineVerdict(Activity(10, 1020, 519, 10, 16, 7, 2000), 4.0), Verdict::kInvalid);
}

TEST(MachineTest, WhatCannotBeToldApartOrIsTooShortIsNotJudged) {
  // A server on this machine that does not tell its CPU time may be all of the strangers.
  EXPECT_EQ(MachineVerdict(Activity(10, 1020, 519, 10, 2, 7, 3000), std::nullopt), Verdict::kValid);
  EXPECT_FALSE(MachineVerdict(Activity(0.5, 1001, 501, 10, 1, 7, 3000), 0.0).has_value());
}

TEST(MachineTest, ThisMachineSaysWhatItDoes) {
  const MachineActivity before = ReadMachineActivity();
  volatile double sum = 0;
  for (int i = 0; i < 3000000; ++i) sum = sum + i;
  const MachineActivity after = ReadMachineActivity();
  EXPECT_GT(after.own_s, before.own_s);
  ASSERT_TRUE(after.total_s && after.busy_s && after.stolen_s);
  EXPECT_GE(*after.total_s, *before.total_s);
  EXPECT_GE(*after.total_s, *after.busy_s);
}

TEST(ClockTest, ServerStampsOutsideTheClientsIntervalVoidTheAttribution) {
  const auto verdict = [](double started, double first, double last, bool same_boot) {
    std::vector<RequestRecord> records = {Ok(0, 0, 10, 30, 90)};
    records[0].server = {{"clock",
                          {{"same_boot", same_boot},
                           {"started_ms", started},
                           {"first_token_ms", first},
                           {"last_token_ms", last},
                           {"closed_ms", last + 1}}}};
    Validity validity;
    CheckClock(records, &validity);
    return VerdictOf(validity, "V-15");
  };
  EXPECT_EQ(verdict(10.1, 29.9, 89.9, true), Verdict::kValid);
  EXPECT_EQ(verdict(9.9, 29.9, 89.9, true), Verdict::kInvalid);   // before it was sent
  EXPECT_EQ(verdict(10.1, 30.1, 89.9, true), Verdict::kInvalid);  // after it had arrived
  EXPECT_EQ(verdict(10.1, 29.9, 90.1, true), Verdict::kInvalid);
  EXPECT_EQ(verdict(10.1, 29.9, 89.9, false), Verdict::kInvalid);  // another boot, another clock
  Validity none;
  const std::vector<RequestRecord> without = {Ok(0, 0, 10, 30, 90)};
  CheckClock(without, &none);
  EXPECT_TRUE(none.checks().empty());
}

TEST(ClockTest, ScopeIsTheAttributionOnly) {
  std::vector<RequestRecord> records = {Ok(0, 0, 10, 30, 90)};
  records[0].server = {{"clock", {{"same_boot", true}, {"started_ms", 5.0}}}};
  Validity validity;
  CheckClock(records, &validity);
  EXPECT_EQ(validity.verdict(), Verdict::kWarn);
  EXPECT_EQ(validity.VoidPointers(1), Json::array({"/results/0/attribution"}));
}

// V-01 to V-03, V-05, V-11, V-18, V-19: the client, the drift, the first request, the window, retries.
class LoadChecksTest : public testing::Test {
 protected:
  LoadChecksTest() {
    for (int i = 0; i < 60; ++i)
      records_.push_back(Ok(i, i * 100.0, i * 100.0, i * 100.0 + 10, i * 100.0 + 100));
  }
  std::optional<Verdict> Check(std::string_view id) {
    input_.records = records_;
    input_.num_sent = static_cast<int64_t>(records_.size());
    if (input_.concurrency == 0) input_.concurrency = 1;
    Validity validity;
    CheckLoadRow(input_, LoadRow(input_), &validity);
    return VerdictOf(validity, id);
  }
  LoadRowInput input_;
  std::vector<RequestRecord> records_;
};

TEST_F(LoadChecksTest, ABusyClientIsBoundByItself) {
  input_.client.cpu_ratio = 0.5;
  EXPECT_EQ(Check("V-01"), Verdict::kValid);
  input_.client.cpu_ratio = 0.8;
  EXPECT_EQ(Check("V-01"), Verdict::kWarn);
  input_.client.cpu_ratio = 0.93;
  EXPECT_EQ(Check("V-01"), Verdict::kInvalid);
}

TEST_F(LoadChecksTest, ALateEventLoopVoidsTheGaps) {
  input_.client.loop_lag_ms = std::vector<double>(100, 0.1);
  EXPECT_EQ(Check("V-02"), Verdict::kValid);
  input_.client.loop_lag_ms[98] = input_.client.loop_lag_ms[99] = 25;
  EXPECT_EQ(Check("V-02"), Verdict::kInvalid);
}

TEST_F(LoadChecksTest, LateSendsVoidLatencies) {
  EXPECT_EQ(Check("V-03"), Verdict::kValid);
  for (RequestRecord& record : records_) record.sent_ms += 2;
  EXPECT_EQ(Check("V-03"), Verdict::kWarn);
  for (RequestRecord& record : records_) record.sent_ms += 10;
  EXPECT_EQ(Check("V-03"), Verdict::kInvalid);
  input_.max_in_flight = 1;  // the wait is asked for
  EXPECT_FALSE(Check("V-03").has_value());
}

TEST_F(LoadChecksTest, ThroughputThatFallsIsDriftUnlessRequestsFail) {
  EXPECT_EQ(Check("V-05"), Verdict::kValid);
  for (size_t i = 0; i < records_.size(); ++i) {
    // The last half takes twice as long.
    const double start = i < 30 ? i * 100.0 : 3000 + (i - 30) * 200.0;
    records_[i] = Ok(static_cast<int64_t>(i), start, start, start + 10, start + (i < 30 ? 100 : 200));
  }
  EXPECT_EQ(Check("V-05"), Verdict::kInvalid);
  records_[3].outcome = Outcome::kFailed;
  EXPECT_FALSE(Check("V-05").has_value());
}

TEST_F(LoadChecksTest, AColdFirstRequestIsNoticed) {
  EXPECT_EQ(Check("V-11"), Verdict::kValid);
  records_[0].first_token_ms = *records_[0].first_token_ms + 90;
  EXPECT_EQ(Check("V-11"), Verdict::kInvalid);
}

TEST_F(LoadChecksTest, PercentilesAreInterpolatedWhereThatIsAskedFor) {
  std::vector<RequestRecord> two(records_.begin(), records_.begin() + 2);
  two[1].done_ms += 10;
  input_.records = two;
  const double low = std::min(Latency(two[0]), Latency(two[1])),
               high = std::max(Latency(two[0]), Latency(two[1]));
  EXPECT_EQ(LoadRow(input_)["e2el_ms"]["method"], "nearest_rank");
  EXPECT_DOUBLE_EQ(LoadRow(input_)["e2el_ms"]["p50"].get<double>(), low);
  input_.percentile = PercentileMethod::kLinear;
  EXPECT_EQ(LoadRow(input_)["e2el_ms"]["method"], "linear");
  EXPECT_DOUBLE_EQ(LoadRow(input_)["e2el_ms"]["p50"].get<double>(), (low + high) / 2);
}

TEST_F(LoadChecksTest, ANarrowSteadyWindowAndRetriesAreNoticed) {
  EXPECT_EQ(Check("V-18"), Verdict::kValid);
  input_.concurrency = 2;  // never in flight
  EXPECT_EQ(Check("V-18"), Verdict::kInvalid);
  EXPECT_FALSE(Check("V-19").has_value());
  records_[4].attempt = 2;
  EXPECT_EQ(Check("V-19"), Verdict::kWarn);
}

TEST_F(LoadChecksTest, LengthsThatWereNotAskedForAreNoticed) {
  EXPECT_EQ(Check("V-08"), Verdict::kValid);
  records_[4].output_tokens_local = 3;
  EXPECT_EQ(Check("V-08"), Verdict::kWarn);
  EXPECT_EQ(Check("V-10"), Verdict::kWarn);  // 60 are too few for p99
  EXPECT_EQ(Check("V-17"), Verdict::kValid);
}

}  // namespace
}  // namespace weir
