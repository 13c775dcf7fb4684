#include "perf/statistics/step_breakdown.h"

#include <gtest/gtest.h>

#include <string_view>

namespace weir {
namespace {

constexpr std::string_view kNames[] = {"work", "wait"};

StepSample Step(double ms, int prefill_tokens, int decode_rows, std::vector<double> segments) {
  StepSample step;
  step.ended_ms = ms;
  step.prefill_tokens = prefill_tokens;
  step.decode_rows = decode_rows;
  step.num_sequences = decode_rows + (prefill_tokens > 0);
  step.kv_tokens_read = 100 * step.num_sequences;
  step.segments_ms = std::move(segments);
  return step;
}

TEST(StepBreakdownTest, KeepsKindsOfStepsApart) {
  StepBreakdown breakdown(kNames);
  breakdown.Add(Step(10, 512, 0, {9, 1}));
  breakdown.Add(Step(2, 0, 4, {1, 1}));
  breakdown.Add(Step(4, 0, 2, {3, 1}));
  const Json step = breakdown.ToJson();
  EXPECT_EQ(step["count"], 3);
  EXPECT_DOUBLE_EQ(step["mean_ms"], 16.0 / 3);
  EXPECT_DOUBLE_EQ(step["prefill_ms"], 10);
  EXPECT_DOUBLE_EQ(step["decode_ms"], 3);
  EXPECT_TRUE(step["mixed_ms"].is_null());
  EXPECT_DOUBLE_EQ(step["segments_ms"]["work"], 13.0 / 3);
  EXPECT_DOUBLE_EQ(step["segments_ms"]["wait"], 1);
  EXPECT_TRUE(step["kinds"]["mixed"].is_null());
  const Json& decode = step["kinds"]["decode"];
  EXPECT_EQ(decode["count"], 2);
  EXPECT_DOUBLE_EQ(decode["decode_rows_mean"], 3);
  EXPECT_DOUBLE_EQ(decode["context_tokens_mean"], 100);
  EXPECT_DOUBLE_EQ(decode["segments_ms"]["work"], 2);
  EXPECT_DOUBLE_EQ(step["kinds"]["prefill"]["prefill_tokens_mean"], 512);
}

TEST(StepBreakdownTest, StepsThatWereNotProfiledOnlyShowWhatProfilingCosts) {
  StepBreakdown breakdown(kNames);
  for (int i = 0; i < 40; ++i) {
    breakdown.Add(Step(2.02, 0, 1, {1.5, 0.52}));
    breakdown.Add(Step(2.00, 0, 1, {}));
    EXPECT_EQ(breakdown.ProfilingCost().has_value(), i >= 19) << i;
  }
  breakdown.Add(Step(9, 0, 1, {}));  // a disturbed one changes no median
  EXPECT_EQ(breakdown.ToJson()["count"], 40);
  EXPECT_NEAR(*breakdown.ProfilingCost(), 0.01, 1e-12);
  EXPECT_NEAR(breakdown.ToJson()["profiling_cost_ratio"].get<double>(), 0.01, 1e-12);
}

TEST(StepBreakdownTest, WithoutNamesThePartsThatAreAlwaysTimedSumToTheStep) {
  StepBreakdown breakdown;
  StepSample step = Step(10, 0, 1, {});
  step.schedule_ms = 1;
  step.forward_ms = 6;
  step.sample_ms = 1;
  step.publish_ms = 0.5;
  breakdown.Add(step);
  const Json json = breakdown.ToJson();
  EXPECT_DOUBLE_EQ(json["segments_ms"]["forward"], 6);
  EXPECT_DOUBLE_EQ(json["segments_ms"]["other"], 1.5);
  EXPECT_FALSE(json.contains("kinds"));
  EXPECT_FALSE(breakdown.ProfilingCost().has_value());
}

}  // namespace
}  // namespace weir
