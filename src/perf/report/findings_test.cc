#include "perf/report/findings.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir {
namespace {

Json Row(int batch, double tps, double cpu_ratio) {
  return {{"batch_size", batch},
          {"output_tps_steady", tps},
          {"e2el_ms", {{"p50", batch * 100000 / tps}}},
          {"utilization", {{"cpu_ratio", cpu_ratio}}},
          {"memory", {{"process_bytes", 1000000}, {"kv_pool_bytes", 4000}, {"kv_peak_bytes", 250 * batch}}},
          {"limit", {{"output_tps", 2 * tps}, {"bound", "bandwidth"}, {"share_ratio", 0.5 + tps / 1000}}}};
}

Findings OfBenchmark(std::vector<Json> rows, const Json& facts = Json::object()) {
  ReportInput input;
  input.benchmark = {{"kind", "benchmark"}, {"results", std::move(rows)}};
  return ApplyRules(input, facts);
}

// The text of a rule's finding; empty when the rule did not fire.
std::string Said(const Findings& findings, const std::string& rule) {
  for (const Json& finding : findings.list) {
    if (finding["rule"] == rule) return finding["text"];
  }
  return "";
}

TEST(FindingsTest, AnotherDoublingIsAdvisedWhereTheLastOnePaidAndMemoryHasRoom) {
  const Findings findings = OfBenchmark({Row(1, 100, 0.95), Row(4, 250, 0.95), Row(8, 400, 0.96)});
  EXPECT_EQ(Said(findings, "REC-02"),
            "Test batch 16: its KV cache needs 4 kB of 4 kB, and the last doubling brought 60 %.");
  EXPECT_EQ(Said(findings, "OBS-03"), "");
}

TEST(FindingsTest, NoDoublingIsAdvisedIntoMemoryThatIsNotThere) {
  const Findings findings = OfBenchmark({Row(1, 100, 0.95), Row(8, 250, 0.95), Row(16, 400, 0.96)});
  EXPECT_EQ(Said(findings, "REC-02"), "");
}

TEST(FindingsTest, ABatchThatBringsNothingIsNamed) {
  const Findings findings = OfBenchmark({Row(1, 100, 0.95), Row(4, 250, 0.95), Row(8, 260, 0.96)});
  EXPECT_EQ(Said(findings, "OBS-03"), "No gain beyond batch 4: the last doubling brings 4 %.");
  EXPECT_EQ(Said(findings, "REC-02"), "");
}

TEST(FindingsTest, UtilisationAndMemoryThatDoNotChangeAreNoHeadroom) {
  const Findings same = OfBenchmark({Row(1, 100, 0.95), Row(8, 400, 0.96)});
  EXPECT_NE(Said(same, "OBS-06").find("95 % to 96 % at every batch size"), std::string::npos)
      << Said(same, "OBS-06");
  EXPECT_NE(Said(same, "OBS-07").find("reserved up front"), std::string::npos);
  const Findings other = OfBenchmark({Row(1, 100, 0.50), Row(8, 400, 0.96)});
  EXPECT_EQ(Said(other, "OBS-06"), "");
}

TEST(FindingsTest, NothingElseToRecommendIsSaid) {
  EXPECT_EQ(Said(OfBenchmark({Row(1, 300, 0.5), Row(4, 350, 0.5), Row(8, 370, 0.5)}), "REC-13"),
            "No change recommended; 87 % of the limit reached.");
  EXPECT_EQ(Said(OfBenchmark({Row(1, 100, 0.5), Row(4, 250, 0.5), Row(8, 400, 0.5)}), "REC-13"), "");
}

TEST(FindingsTest, BarsOfTheWaterfallAskForTheirRemedy) {
  const auto with_bar = [](const char* cause, double share) {
    return OfBenchmark(
        {Row(1, 100, 0.5), Row(8, 400, 0.5)},
        {{"attribution",
          {{"before",
            {{"verdict", "VALID"},
             {"direct_tps", 400.0},
             {"api_tps", 100.0},
             {"concurrency", 8},
             {"causes", {{{"cause", cause}, {"tps", share * 300}, {"share_ratio", share}}}}}}}}});
  };
  EXPECT_NE(Said(with_bar("queue_kv", 0.5), "REC-07"), "");
  EXPECT_NE(Said(with_bar("queue_budget", 0.2), "REC-08"), "");
  EXPECT_NE(Said(with_bar("socket write", 0.3), "REC-09").find("30 % of the gap before the repair"),
            std::string::npos);
  EXPECT_NE(Said(with_bar("transport and client read", 0.3), "REC-10"), "");
  for (const char* rule : {"REC-07", "REC-08", "REC-09", "REC-10"}) {
    EXPECT_EQ(Said(with_bar("queue_kv", 0.09), rule), "") << rule;
  }
}

TEST(FindingsTest, APrefixCacheIsAdvisedWherePromptsBeginAlikeAndNoneWasKnown) {
  const auto with = [](double expected, double hits) {
    LadderStep step;
    step.id = "E";
    step.document = {
        {"kind", "load_test"},
        {"dataset", {{"expected_cache_ratio", expected}}},
        {"results", {{{"counts", {{"sent", 4}, {"ok", 4}}}, {"server", {{"prefix_hit_ratio", hits}}}}}}};
    ReportInput input;
    input.steps = {step};
    return Said(ApplyRules(input, Json::object()), "REC-12");
  };
  EXPECT_NE(with(0.5, 0.0).find("50 % of the prompts' tokens are shared"), std::string::npos);
  EXPECT_EQ(with(0.5, 0.4), "");
  EXPECT_EQ(with(0.1, 0.0), "");
}

}  // namespace
}  // namespace weir
