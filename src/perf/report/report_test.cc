#include "perf/report/report.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "perf/report/evidence.h"
#include "perf/report/number_format.h"
#include "perf/report/slot_time.h"
#include "perf/report/svg_chart.h"

namespace weir {
namespace {

Json Benchmark() {
  const auto row = [](int batch, double tps, double latency) -> Json {
    return {{"batch_size", batch},
            {"batching", "continuous"},
            {"output_tps", tps * 0.98},
            {"output_tps_steady", tps},
            {"requests_per_s", tps / 100},
            {"requests_per_s_steady", tps / 100},
            {"success_ratio", 1.0},
            {"e2el_ms", {{"p50", latency}, {"p95", latency + 10}, {"p99", latency + 12}}},
            {"limit", {{"output_tps", tps * 1.5}, {"bound", "bandwidth"}, {"share_ratio", 1 / 1.5}}}};
  };
  return {{"kind", "benchmark"},
          {"parameters", {{"num_prompts", 15}, {"max_tokens", 100}}},
          {"results", {row(1, 40, 2500), row(5, 150, 3300), row(8, 200, 4000)}},
          {"validity", {{"verdict", "VALID"}, {"checks", Json::array()}}}};
}

RequestRecord Record(Outcome outcome, double start_ms, double ms, double queue_ms) {
  RequestRecord record;
  record.intended_ms = record.sent_ms = start_ms;
  record.done_ms = start_ms + ms;
  record.outcome = outcome;
  record.output_tokens = outcome == Outcome::kOk ? 100 : 0;
  record.server = {
      {"ledger_ms",
       {{"queue_slot", queue_ms}, {"prefill", 10.0}, {"decode", ms - queue_ms - 12}, {"parse", 1.0}}}};
  if (outcome == Outcome::kFailed) {
    record.error = RecordError{"timeout", 0, "first_token", "timed out"};
    record.server = {{"ledger_ms", {{"queue_slot", ms + 500}, {"decode", 2500.0}}}};
  }
  return record;
}

Json Timeouts(const char* phase, int count) {
  return {{"outcome", "failed"}, {"class", "timeout"}, {"phase", phase}, {"count", count}};
}

// Two workers for ten seconds: one request of 2.5 s succeeds, the rest time out after 2.5 s each.
LadderStep FailingStep() {
  LadderStep step;
  step.id = "A";
  step.title = "before";
  step.file = "load_test_sequential.json";
  step.predicted = {{"ok", 1}, {"gap_1", 20}};
  for (int i = 0; i < 8; ++i) {
    step.records.push_back(
        Record(i == 0 ? Outcome::kOk : Outcome::kFailed, 2500.0 * (i / 2), 2500, i == 0 ? 0 : 2500));
  }
  step.document = {{"kind", "load_test"},
                   {"parameters", {{"max_tokens", 100}}},
                   {"results",
                    {{{"mode", "closed"},
                      {"concurrency", 2},
                      {"wall_s", 10.0},
                      {"timeout_s", 2.5},
                      {"counts", {{"sent", 8}, {"ok", 1}, {"failed", 7}, {"shed", 0}}},
                      {"success_ratio", 0.125},
                      {"output_tps", 10.0},
                      {"output_tps_steady", 10.0},
                      {"e2el_ms", {{"count", 1}, {"p95", 2500.0}}},
                      {"e2el_with_failed_ms", {{"p95", 2500.0}}},
                      {"errors", Json::array({Timeouts("first_token", 5), Timeouts("stream", 2)})}}}},
                   {"validity", {{"verdict", "WARN"}}}};
  return step;
}

ReportInput Input() {
  ReportInput input;
  input.benchmark = Benchmark();
  input.steps.push_back(FailingStep());
  LadderStep repaired = FailingStep();
  repaired.id = "E";
  repaired.title = "after <repaired>";
  repaired.file = "load_test_results.json";
  repaired.document["results"][0]["counts"] = {{"sent", 8}, {"ok", 8}, {"failed", 0}, {"shed", 0}};
  repaired.document["results"][0]["success_ratio"] = 1.0;
  repaired.document["results"][0]["output_tps"] = 190.0;
  repaired.document["results"][0]["errors"] = Json::array();
  input.steps.push_back(repaired);
  return input;
}

bool HasRule(const Json& report, const std::string& rule) {
  for (const Json& finding : report["findings"]) {
    if (StringAt(finding, "/rule") == rule) return true;
  }
  return false;
}

TEST(ReportTest, NamesTheGapAndItsClosing) {
  const Result<Json> report = BuildReport(Input());
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(NumberAt((*report)["comparison"][0], "/ratio"), 20.0);  // 200 / 10
  EXPECT_NEAR(*NumberAt((*report)["ladder"][1], "/measured/gap_1"), 200.0 / 190, 1e-9);
  EXPECT_TRUE(HasRule(*report, "OBS-10"));
  EXPECT_TRUE(HasRule(*report, "OBS-13"));
  EXPECT_TRUE(HasRule(*report, "REC-03"));
  const std::string markdown = RenderMarkdown(*report);
  for (const char* section :
       {"## 1.", "## 2.", "## 3.", "## 4.", "## 5.", "## 6.", "## 7.", "## 8.", "## 9."}) {
    EXPECT_NE(markdown.find(section), std::string::npos) << section;
  }
  EXPECT_NE(markdown.find("7 of 8 requests failed, 7 of them by timeout."), std::string::npos);
}

TEST(ReportTest, HtmlIsSelfContainedAndEscaped) {
  const std::string html = RenderHtml(*BuildReport(Input()));
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("http://"), std::string::npos);
  EXPECT_EQ(html.find("https://"), std::string::npos);
  EXPECT_EQ(html.find("<repaired>"), std::string::npos);
  EXPECT_NE(html.find("&lt;repaired&gt;"), std::string::npos);
  EXPECT_NE(html.find("<svg"), std::string::npos);
}

TEST(ReportTest, SaysNotMeasuredInsteadOfZero) {
  ReportInput input;
  input.benchmark = Benchmark();
  input.benchmark["results"][0].erase("e2el_ms");
  const Json report = *BuildReport(input);
  EXPECT_FALSE(HasRule(report, "OBS-04"));  // its evidence is gone, so it is silent, and says so
  bool listed = false;
  for (const Json& rule : report["silent_rules"]) listed |= StringAt(rule, "/rule") == "OBS-04";
  EXPECT_TRUE(listed);
  EXPECT_NE(RenderMarkdown(report).find(kNotMeasured), std::string::npos);
}

TEST(ReportTest, RefusesToReportOnNothing) {
  EXPECT_EQ(BuildReport(ReportInput{}).error().code(), StatusCode::kInvalidArgument);
}

TEST(SlotTimeTest, PartsAddUpToWorkersTimesDuration) {
  const LadderStep step = FailingStep();
  const auto balance = BalanceSlotTime(step.document["results"][0], step.records);
  ASSERT_TRUE(balance.has_value());
  double sum = 0;
  for (const auto& [cause, ms] : balance->parts_ms) sum += ms;
  EXPECT_NEAR(sum, 2 * 10000.0, 1e-6);
  EXPECT_NEAR(balance->parts_ms.at("failed.timeout"), 7 * 2500.0, 1e-6);
  EXPECT_EQ(balance->good_tokens, 100);
}

TEST(SlotTimeTest, CausesOfTheGapAddUpToTheGap) {
  const LadderStep step = FailingStep();
  const auto balance = BalanceSlotTime(step.document["results"][0], step.records);
  const Json gap = AttributeGap(*balance, 2, 200.0, 80.0, 10.0);
  double sum = 0;
  for (const Json& cause : gap["causes"]) sum += *NumberAt(cause, "/tps");
  EXPECT_NEAR(sum, 70.0, 1e-6);
  EXPECT_EQ(StringAt(gap["causes"][0], "/cause"), "failed.timeout");
  EXPECT_TRUE(AttributeGap(*balance, 2, 200.0, std::nullopt, 10.0).is_null());
}

TEST(NumberFormatTest, KeepsThreeDigitsAndUnits) {
  EXPECT_EQ(FormatNumber(4.84), "4.84");
  EXPECT_EQ(FormatNumber(265.1), "265");
  EXPECT_EQ(FormatNumber(std::optional<double>()), kNotMeasured);
  EXPECT_EQ(FormatPercent(0.44), "44 %");
  EXPECT_EQ(FormatMilliseconds(3016.0), "3.02 s");
  EXPECT_EQ(FormatBytes(96.6e6), "96.6 MB");
}

TEST(SvgChartTest, DrawsEveryPoint) {
  const Json chart = {
      {"id", "x"},    {"title", "t"},
      {"kind", "xy"}, {"x", "a"},
      {"y", "b"},     {"series", {{{"name", "s"}, {"style", "dots"}, {"points", {{1, 2}, {3, 4}, {5, 0}}}}}}};
  const std::string svg = RenderSvg(chart);
  size_t circles = 0;
  for (size_t at = svg.find("<circle"); at != std::string::npos; at = svg.find("<circle", at + 1)) ++circles;
  EXPECT_EQ(circles, 3u);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

}  // namespace
}  // namespace weir
