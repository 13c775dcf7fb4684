// What the server's own account of each request tells of a run: work for clients that had left, prompts in others' gaps.
#include <gtest/gtest.h>

#include "perf/statistics/departed_work.h"
#include "perf/statistics/long_gaps.h"

namespace weir {
namespace {

// Computed from `began` on; its prompt of 100 tokens until `first`, 50 tokens of output until `last`.
RequestRecord Computed(Outcome outcome, double done, double began, double first, double last) {
  RequestRecord record;
  record.outcome = outcome;
  record.done_ms = done;
  record.server = {{"ledger_ms", {{"prefill", first - began}, {"decode", last - first}}},
                   {"prompt_tokens", 100},
                   {"cached_tokens", 0},
                   {"output_tokens", 50},
                   {"clock",
                    {{"same_boot", true},
                     {"scheduled_ms", began},
                     {"first_token_ms", first},
                     {"last_token_ms", last},
                     {"closed_ms", last}}}};
  return record;
}

TEST(DepartedWorkTest, CountsWhatWasComputedAfterTheClientHadGone) {
  const std::vector<RequestRecord> records = {
      Computed(Outcome::kOk, 1000, 0, 500, 1000),
      Computed(Outcome::kFailed, 900, 1000, 1500, 2000),      // all of it
      Computed(Outcome::kFailed, 2250, 2000, 2500, 3000),     // half the prompt, all output
      Computed(Outcome::kCancelled, 3750, 3000, 3500, 4000),  // half the output
  };
  const DepartedWork work = WorkForDeparted(records);
  EXPECT_DOUBLE_EQ(work.all_tokens, 600);
  EXPECT_DOUBLE_EQ(work.tokens, 150 + 100 + 25);
  EXPECT_EQ(work.num_unknown, 0);
}

TEST(DepartedWorkTest, WhatTheServerStoppedAtOnceIsNoWaste) {
  EXPECT_DOUBLE_EQ(WorkForDeparted(std::vector{Computed(Outcome::kFailed, 4000, 3000, 3500, 4000)}).tokens,
                   0);
}

TEST(DepartedWorkTest, CachedPromptsWereNotComputed) {
  RequestRecord record = Computed(Outcome::kFailed, 0, 1000, 1500, 2000);
  record.server["cached_tokens"] = 96;
  EXPECT_DOUBLE_EQ(WorkForDeparted(std::vector{record}).tokens, 54);
}

TEST(DepartedWorkTest, ARequestThatNeverBeganCostsNothingAndIsKnown) {
  RequestRecord record = Computed(Outcome::kFailed, 100, 0, 0, 0);
  record.server["clock"]["scheduled_ms"] = nullptr;
  const DepartedWork work = WorkForDeparted(std::vector{record});
  EXPECT_DOUBLE_EQ(work.all_tokens, 0);
  EXPECT_DOUBLE_EQ(work.ratio(), 0);
  EXPECT_EQ(work.num_unknown, 0);
}

TEST(DepartedWorkTest, WithoutAnAccountNothingIsClaimed) {
  RequestRecord record = Computed(Outcome::kFailed, 0, 1000, 1500, 2000);
  record.server = nullptr;
  const DepartedWork work = WorkForDeparted(std::vector{record});
  EXPECT_DOUBLE_EQ(work.tokens, 0);
  EXPECT_EQ(work.num_unknown, 1);
}

TEST(DepartedWorkTest, StampsOfAnotherMachineAreNotCompared) {
  RequestRecord record = Computed(Outcome::kFailed, 0, 1000, 1500, 2000);
  record.server["clock"]["same_boot"] = false;
  EXPECT_DOUBLE_EQ(WorkForDeparted(std::vector{record}).all_tokens, 0);
}

// A token every 10 ms, and a gap of 100 ms after every 100th of them.
RequestRecord Stuttering(int num_tokens) {
  RequestRecord record = Computed(Outcome::kOk, 0, 0, 10, 10);
  double at = 10;
  for (int i = 0; i < num_tokens; ++i) {
    record.token_times_ms.push_back(at);
    at += i % 100 == 99 ? 100 : 10;
  }
  record.done_ms = at;
  return record;
}

TEST(LongGapsTest, FindsThePromptsThatMadeThem) {
  const RequestRecord reader = Stuttering(1001);
  std::vector<RequestRecord> records = {reader};
  for (size_t i = 100; i < reader.token_times_ms.size(); i += 100) {
    const double end = reader.token_times_ms[i];
    records.push_back(Computed(Outcome::kFailed, end, end - 90, end, end));
  }
  const auto gaps = FindLongGaps(records);
  ASSERT_TRUE(gaps.has_value());
  EXPECT_DOUBLE_EQ(gaps->p50_ms, 10);
  EXPECT_DOUBLE_EQ(gaps->mean_ms, 100);
  EXPECT_DOUBLE_EQ(gaps->prefill_ratio, 1);
  EXPECT_DOUBLE_EQ(gaps->prefill_token_ms, (10 + 10 * 90) / 1100.0);
}

TEST(LongGapsTest, ItsOwnPrefillAndPrefillsElsewhereAreNoReason) {
  std::vector<RequestRecord> records = {Stuttering(1001)};
  records[0].server["clock"]["first_token_ms"] = 1e6;
  records.push_back(Computed(Outcome::kFailed, 0, 20, 60, 60));
  EXPECT_DOUBLE_EQ(FindLongGaps(records)->prefill_ratio, 0);
}

TEST(LongGapsTest, APromptThatTouchesAGapIsNotItsReason) {
  const RequestRecord reader = Stuttering(1001);
  std::vector<RequestRecord> records = {reader};
  for (size_t i = 100; i < reader.token_times_ms.size(); i += 100) {
    const double end = reader.token_times_ms[i];
    // Two prompts at the same time fill no more of the gap than one.
    for (int k = 0; k < 2; ++k) records.push_back(Computed(Outcome::kFailed, end, end - 40, end, end));
  }
  EXPECT_DOUBLE_EQ(FindLongGaps(records)->prefill_ratio, 0);
}

TEST(LongGapsTest, WithoutTheServersStampsNothingIsClaimed) {
  std::vector<RequestRecord> records = {Stuttering(1001)};
  records[0].server = nullptr;
  EXPECT_FALSE(FindLongGaps(records).has_value());
  EXPECT_FALSE(FindLongGaps({}).has_value());
}

}  // namespace
}  // namespace weir
