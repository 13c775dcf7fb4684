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

// Two clients that left after 100 ms, and one that stayed; the server has computed `late_ms` for each since.
LadderStep StepWithDepartures(const std::string& id, double late_ms) {
  LadderStep step;
  step.id = id;
  step.document = {{"kind", "load_test"},
                   {"results", {{{"counts", {{"sent", 3}, {"ok", 1}, {"failed", 2}}}}}}};
  for (const Outcome outcome : {Outcome::kOk, Outcome::kFailed, Outcome::kFailed}) {
    RequestRecord record;
    record.outcome = outcome;
    record.done_ms = 100;
    const double last = outcome == Outcome::kOk ? 100 : 100 + late_ms;
    record.server = {{"ledger_ms", Json::object()},
                     {"prompt_tokens", 0},
                     {"output_tokens", 40},
                     {"clock",
                      {{"same_boot", true},
                       {"scheduled_ms", 0},
                       {"first_token_ms", 0},
                       {"last_token_ms", last},
                       {"closed_ms", last}}}};
    step.records.push_back(record);
  }
  return step;
}

TEST(FindingsTest, WorkForClientsThatLeftIsToldAndItsEndRemeasured) {
  ReportInput input;
  input.steps = {StepWithDepartures("A", 300), StepWithDepartures("C", 0)};
  const Findings findings = ApplyRules(input, Json::object());
  EXPECT_EQ(Said(findings, "OBS-15"), "50 % of the engine's tokens were computed for clients that had left.");
  EXPECT_NE(Said(findings, "REC-06").find("50 % of the engine's time"), std::string::npos);
  for (const Json& finding : findings.list) {
    if (finding["rule"] == "REC-06") {
      EXPECT_EQ(finding["remeasured"]["verdict"], "confirmed");
    }
  }
  input.steps = {StepWithDepartures("A", 300), StepWithDepartures("C", 200)};
  for (const Json& finding : ApplyRules(input, Json::object()).list) {
    if (finding["rule"] == "REC-06") {
      EXPECT_EQ(finding["remeasured"]["verdict"], "weaker");
    }
  }
  input.steps = {StepWithDepartures("A", 2)};
  const Findings little = ApplyRules(input, Json::object());
  EXPECT_EQ(Said(little, "OBS-15"), "");
  EXPECT_EQ(Said(little, "REC-06"), "");
}

TEST(FindingsTest, LongGapsThatOthersPromptsMakeAskForSmallerPieces) {
  LadderStep step;
  step.document = {{"kind", "load_test"},
                   {"server_version", {{"itl_objective_ms", 50.0}}},
                   {"results", {{{"counts", {{"sent", 2}, {"ok", 2}}}}}}};
  const auto request = [](double began, double first, std::vector<double> times) {
    RequestRecord record;
    record.outcome = Outcome::kOk;
    record.token_times_ms = std::move(times);
    record.server = {{"ledger_ms", {{"prefill", first - began}}},
                     {"prompt_tokens", 100},
                     {"output_tokens", 100},
                     {"clock",
                      {{"same_boot", true},
                       {"scheduled_ms", began},
                       {"first_token_ms", first},
                       {"last_token_ms", 1100},
                       {"closed_ms", 1100}}}};
    return record;
  };
  std::vector<double> times = {20};
  for (int i = 0; i < 40; ++i) times.push_back(times.back() + (i == 20 ? 100 : 10));
  step.records = {request(0, 20, times), request(times[20] + 5, times[21], {times[21]})};
  ReportInput input;
  input.steps = {step};
  const Findings findings = ApplyRules(input, Json::object());
  EXPECT_EQ(Said(findings, "OBS-17"),
            "Long gaps come from others' prompts: 100 % of the longest 1 % hold some, 100 ms on average, the "
            "median "
            "gap has 10 ms.");
  // (20 + 95) ms of prefill for 200 tokens; 40 ms are left beside the median gap.
  EXPECT_EQ(Said(findings, "REC-08"),
            "Let a step hold at most 69 prompt tokens beside its decodes (--max-num-batched-tokens), so that "
            "it keeps the "
            "objective of 50 ms (--itl-objective).");
  // Long, but no longer than asked for.
  input.steps[0].document["server_version"]["itl_objective_ms"] = 100.0;
  const Findings within = ApplyRules(input, Json::object());
  EXPECT_NE(Said(within, "OBS-17"), "");
  EXPECT_EQ(Said(within, "REC-08"), "");
  // The same gap with nobody's prompt in it.
  input.steps[0].records.pop_back();
  EXPECT_EQ(Said(ApplyRules(input, Json::object()), "OBS-17"), "");
}

}  // namespace
}  // namespace weir
