#include "perf/report/trials.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

Json Finding(const char* rule, const char* metric, double from, Json trial) {
  return {{"rule", rule},
          {"kind", "recommendation"},
          {"expected", {{"metric", metric}, {"from", from}, {"to", nullptr}}},
          {"remeasured", nullptr},
          {"trial", std::move(trial)}};
}

TEST(TrialsTest, PlansWhatCanBeTriedAndWasNot) {
  Json report = {
      {"findings",
       {Finding("REC-02", "output_tps", 100, {{"batch_size", 64}}),
        Finding("REC-08", "itl_p99_ms", 90, {{"server_flags", {"--max-num-batched-tokens", "69"}}}),
        Finding("REC-09", "output_tps", 100, nullptr),
        Finding("REC-12", "output_tps", 100, {{"server_flags", {"--prefix-cache", "on"}}})}}};
  report["findings"].push_back(report["findings"][1]);  // of another load test
  report["findings"][3]["remeasured"] = {{"to", 120}};
  const std::vector<TrialPlan> plans = PlanTrials(report);
  ASSERT_EQ(plans.size(), 2u);
  EXPECT_EQ(plans[0].rule, "REC-02");
  EXPECT_EQ(plans[0].batch_size, 64);
  EXPECT_TRUE(plans[0].server_flags.empty());
  EXPECT_EQ(plans[1].server_flags, (std::vector<std::string>{"--max-num-batched-tokens", "69"}));
  EXPECT_EQ(plans[1].batch_size, 0);
}

TEST(TrialsTest, SaysWhetherTheAdviceHelped) {
  Json findings = {Finding("REC-02", "output_tps", 100, {{"batch_size", 64}}),
                   Finding("REC-08", "itl_p99_ms", 90, {{"server_flags", {"x"}}}),
                   Finding("REC-12", "output_tps", 100, {{"server_flags", {"x"}}})};
  const auto trial = [](const char* rule, Json document) {
    LadderStep step;
    step.id = rule;
    step.file = "trial.json";
    step.document = std::move(document);
    return step;
  };
  AddTrials({trial("REC-02", {{"kind", "benchmark"}, {"results", {{{"output_tps_steady", 130}}}}}),
             trial("REC-08", {{"kind", "load_test"}, {"results", {{{"itl_ms", {{"p99", 95}}}}}}}),
             trial("REC-12", {{"kind", "load_test"}, {"results", Json::array()}})},
            &findings);
  EXPECT_EQ(findings[0]["remeasured"]["verdict"], "better");
  EXPECT_EQ(findings[0]["remeasured"]["to"], 130);
  EXPECT_EQ(findings[0]["remeasured"]["from"], 100);
  EXPECT_EQ(findings[1]["remeasured"]["verdict"], "no better");
  EXPECT_TRUE(findings[2]["remeasured"].is_null());  // it measured nothing
}

}  // namespace
}  // namespace weir
