#include "perf/report/report.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

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
            {"slot",
             {{"ms_per_token", {{"own prefill", 0.1}, {"decode", batch * 1000 / tps - 0.1}}},
              {"total_ms_per_token", batch * 1000 / tps},
              {"batch_mean", batch}}},
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

// The published study as result files: 22 of 50 succeed, in 2.7 to 3.0 s each; 4.84 tok/s over 365.8 s.
ReportInput PublishedStudy() {
  ReportInput input;
  input.benchmark = Benchmark();
  input.benchmark["results"] = Json::array({input.benchmark["results"][0]});
  input.benchmark["results"][0]["output_tps_steady"] = 37.0;
  input.benchmark["results"][0]["e2el_ms"] = {{"p50", 2708.0}, {"p95", 2714.0}, {"p99", 2714.0}};
  LadderStep step = FailingStep();
  step.id = "";
  step.records.clear();
  step.document["parameters"] = {{"max_tokens", 100}};
  step.document["server_version"] = {{"max_num_seqs", 1}};
  step.document["results"][0] = {
      {"mode", "closed"},
      {"concurrency", 5},
      {"wall_s", 365.8},
      {"counts", {{"sent", 50}, {"ok", 22}, {"failed", 28}, {"shed", 0}}},
      {"success_ratio", 0.44},
      {"output_tps", 4.84},
      {"e2el_ms", {{"count", 22}, {"mean", 2720.0}, {"std", 60.0}, {"p95", 2714.0}}},
      {"e2el_with_failed_ms", nullptr},
      {"errors", Json::array({Timeouts("first_token", 28)})}};
  input.steps.push_back(step);
  return input;
}

TEST(ReportTest, SurvivorsPercentilesAreNotCalledSimilar) {
  const Json report = *BuildReport(PublishedStudy());
  EXPECT_TRUE(HasRule(report, "OBS-12"));
  EXPECT_TRUE(HasRule(report, "OBS-14"));
  const std::string text = RenderMarkdown(report) + RenderHtml(report);
  EXPECT_EQ(text.find("similar"), std::string::npos);
  EXPECT_NE(text.find("starved or lost"), std::string::npos);
  EXPECT_NE(text.find("not computable: timeout unknown"), std::string::npos);
}

TEST(ReportTest, TokensThatDoNotAddUpAreNoticed) {
  const Json report = *BuildReport(PublishedStudy());
  ASSERT_TRUE(HasRule(report, "OBS-18"));
  for (const Json& finding : report["findings"]) {
    if (StringAt(finding, "/rule") != "OBS-18") continue;
    EXPECT_NE(StringAt(finding, "/text")->find("80.5 tokens per request instead of 100"), std::string::npos);
  }
  ReportInput right = PublishedStudy();
  right.steps[0].document["results"][0]["output_tps"] = 2200 / 365.8;
  EXPECT_FALSE(HasRule(*BuildReport(right), "OBS-18"));
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
  DirectSlots direct;
  direct.concurrency = 2;
  direct.best_tps = 200;
  direct.tps = 80;
  direct.ms_per_token = {{"own prefill", 0.1}, {"decode", 24.9}};
  const Json gap = AttributeGap(*balance, direct, 10.0);
  double sum = 0;
  for (const Json& cause : gap["causes"]) sum += *NumberAt(cause, "/tps");
  EXPECT_NEAR(sum, 70.0, 1e-6);
  EXPECT_EQ(StringAt(gap["causes"][0], "/cause"), "failed.timeout");
  SlotTime without = *balance;
  without.has_ledgers = false;
  EXPECT_TRUE(AttributeGap(without, direct, 10.0).is_null());
}

// A server with ledgers and clocks: 4 in flight, each request 100 tokens in 1000 ms of residence.
SlotTime Served(double decode_ms, double batch, const std::map<std::string, double>& more,
                double other_cpu_ms) {
  SlotTime out;
  out.good_tokens = 1000;
  out.has_ledgers = true;
  out.batch_mean = batch;
  out.other_cpu_ms = other_cpu_ms;
  out.parts_ms = more;
  out.parts_ms["decode"] = decode_ms * 1000;
  for (const auto& [cause, ms] : out.parts_ms) out.total_ms += ms;
  return out;
}

DirectSlots Direct4() {
  DirectSlots out;
  out.concurrency = 4;
  out.ms_per_token = {{"decode", 8.0}, {"own prefill", 1.0}};
  out.tps = 4000.0 / 9;
  out.batch_mean = 4;
  out.decode_curve = {{1, 5.0}, {4, 8.0}, {8, 12.0}};
  return out;
}

double ShareOf(const Json& gap, const std::string& name) {
  for (const Json& cause : gap["causes"]) {
    if (StringAt(cause, "/cause") == name) return *NumberAt(cause, "/slot_ms_per_token");
  }
  return 0;
}

TEST(SlotTimeTest, DecodeIsSplitIntoBatchShapeContentionAndWhatNobodyClaims) {
  // Three ran together instead of four: 7 ms by the curve. 10 ms were measured, and others used 2 s of CPU.
  const SlotTime api = Served(10, 3, {{"own prefill", 1000.0}, {"client wait", 0.0}}, 2000.0 / 3);
  const Json gap = AttributeGap(api, Direct4(), 4000.0 / 11);
  EXPECT_NEAR(ShareOf(gap, "decode: batch shape"), -1, 1e-9);
  EXPECT_NEAR(ShareOf(gap, "decode: contention for the cores"), 2, 1e-9);  // no more than was used
  EXPECT_NEAR(ShareOf(gap, "unattributed"), 1, 1e-9);
  EXPECT_EQ(StringAt(gap, "/verdict"), "INVALID");
  // With the evidence for it, all of it is contention, and the waterfall holds.
  const Json held = AttributeGap(Served(10, 3, {{"own prefill", 1000.0}}, 2000), Direct4(), 4000.0 / 11);
  EXPECT_NEAR(ShareOf(held, "decode: contention for the cores"), 3, 1e-9);
  EXPECT_NEAR(ShareOf(held, "unattributed"), 0, 1e-9);
  EXPECT_EQ(StringAt(held, "/verdict"), "VALID");
}

TEST(SlotTimeTest, APlantedCauseIsTheLargestAndACleanServerHasNone) {
  const std::map<std::string, double> clean = {{"own prefill", 1000.0}, {"transport to the server", 20.0}};
  const Json none = AttributeGap(Served(8, 4, clean, 100), Direct4(), 4000.0 / 9.02);
  for (const Json& cause : none["causes"]) EXPECT_LT(std::fabs(*NumberAt(cause, "/slot_ms_per_token")), 0.05);
  for (const char* planted : {"queue_slot", "template and tokenise", "transport and client read",
                              "failed.timeout", "idle", "socket write"}) {
    std::map<std::string, double> parts = clean;
    parts[planted] += 3000;
    const Json gap = AttributeGap(Served(8, 4, parts, 100), Direct4(), 4000.0 / 12.02);
    EXPECT_EQ(StringAt(gap["causes"][0], "/cause"), planted);
    EXPECT_GT(*NumberAt(gap["causes"][0], "/share_ratio"), 0.95);
    EXPECT_EQ(StringAt(gap, "/verdict"), "VALID");
  }
}

TEST(SlotTimeTest, OnlyTheRowsOwnStageIsBalanced) {
  LadderStep step = FailingStep();
  std::vector<RequestRecord> two = step.records;
  for (RequestRecord record : step.records) {
    record.load_stage = 1;
    two.push_back(record);
  }
  const auto one = BalanceSlotTime(step.document["results"][0], step.records);
  const auto same = BalanceSlotTime(step.document["results"][0], two);
  EXPECT_EQ(one->good_tokens, same->good_tokens);
  EXPECT_EQ(one->parts_ms.at("failed.timeout"), same->parts_ms.at("failed.timeout"));
}

ReportInput SameWorkload() {
  ReportInput input = Input();
  input.benchmark["parameters"]["temperature"] = 0.0;
  input.benchmark["parameters"]["kv_cache_dtype"] = "fp16";
  for (LadderStep& step : input.steps) {
    step.document["parameters"]["temperature"] = 0.0;
    step.document["server_version"] = {{"kv_cache_dtype", "fp16"}};
    // Five in flight, as a row of the benchmark.
    step.document["results"][0]["concurrency"] = 5;
    for (size_t i = 0; i < step.records.size(); ++i) {
      step.records[i].prompt_id = fmt::format("p{}", i);
      step.records[i].prompt_tokens = 40;
      step.records[i].output_hash = "abc";
    }
  }
  RequestRecord direct = Record(Outcome::kOk, 0, 2500, 0);
  direct.prompt_id = "p0";
  direct.prompt_tokens = 40;
  direct.output_hash = "abc";
  input.benchmark_records = {direct};
  return input;
}

std::string CheckOf(const Json& report, const std::string& id) {
  std::string worst;
  for (const Json& check : report["validity"]["checks"]) {
    if (StringAt(check, "/id") == id && worst != "INVALID") worst = *StringAt(check, "/verdict");
  }
  return worst;
}

TEST(SameWorkloadTest, OtherOutputsPromptsOrSettingsVoidTheAttribution) {
  EXPECT_EQ(CheckOf(*BuildReport(SameWorkload()), "V-21"), "VALID");
  const auto with = [](auto change) {
    ReportInput input = SameWorkload();
    change(input);
    const Json report = *BuildReport(input);
    EXPECT_EQ(StringAt(report, "/attribution/before/verdict"), "INVALID");
    EXPECT_NE(RenderMarkdown(report).find("not-same-workload"), std::string::npos);
    return CheckOf(report, "V-21");
  };
  EXPECT_EQ(with([](ReportInput& input) { input.benchmark_records[0].output_hash = "other"; }), "INVALID");
  EXPECT_EQ(with([](ReportInput& input) { input.benchmark_records[0].prompt_tokens = 41; }), "INVALID");
  EXPECT_EQ(with([](ReportInput& input) { input.benchmark["parameters"]["kv_cache_dtype"] = "int8"; }),
            "INVALID");
  // Without temperature 0 outputs may differ.
  ReportInput warm = SameWorkload();
  warm.benchmark["parameters"]["temperature"] = 1.0;
  warm.benchmark_records[0].output_hash = "other";
  EXPECT_EQ(CheckOf(*BuildReport(warm), "V-21"), "VALID");
}

TEST(ReportTest, AnUnexplainedRestVoidsTheWaterfallAndItsCauses) {
  ReportInput input = SameWorkload();
  for (RequestRecord& record : input.steps[0].records) {
    if (record.outcome == Outcome::kOk) record.server["ledger_ms"]["other"] = 3000.0;
  }
  // Most of the gap is failures; the rest of one request of 2.5 s is beyond the bound only if that is small.
  input.steps[0].document["results"][0]["wall_s"] = 4.0;
  input.steps[0].document["results"][0]["output_tps"] = 25.0;
  const Json report = *BuildReport(input);
  EXPECT_EQ(CheckOf(report, "V-16"), "INVALID");
  for (const Json& finding : report["findings"]) EXPECT_NE(StringAt(finding, "/section"), "before");
  EXPECT_NE(RenderHtml(report).find("void, see V-15, V-16, V-21"), std::string::npos);
}

TEST(CsvTest, HasEveryNumberOnceAndQuotesWhatNeedsIt) {
  const Json report = *BuildReport(SameWorkload());
  const std::string csv = RenderCsv(report);
  EXPECT_TRUE(csv.starts_with("table,row,metric,formula,unit,value\n"));
  EXPECT_NE(csv.find("benchmark,batch 8,e2el_ms/p95,,,4010.0\n"), std::string::npos) << csv;
  EXPECT_NE(csv.find("attribution,before,failed.timeout,ATT-2,tok/s,"), std::string::npos);
  size_t columns = 0;
  bool quoted = false;
  for (const char c : csv) {
    if (c == '"') quoted = !quoted;
    if (c == ',' && !quoted) ++columns;
    if (c != '\n' || quoted) continue;
    EXPECT_EQ(columns, 5u);
    columns = 0;
  }
}

TEST(WaterfallTest, EveryBarBeginsWhereTheLastOneEnds) {
  const Json report = *BuildReport(SameWorkload());
  const Json* found = nullptr;
  for (const Json& chart : report["charts"]) {
    if (chart["id"] == "waterfall_before") found = &chart;
  }
  ASSERT_NE(found, nullptr);
  const Json& bars = (*found)["series"][0]["points"];
  double level = 0;
  for (size_t i = 0; i < bars.size(); ++i) {
    const double begin = bars[i][3], end = bars[i][1];
    if (begin == 0 && i > 0) {
      EXPECT_NEAR(end, level, 1e-6) << bars[i];  // a total is where the bars have led
    } else if (i > 0) {
      EXPECT_NEAR(begin, level, 1e-6) << bars[i];
    }
    level = end;
  }
  EXPECT_EQ(RenderSvg(*found).find("nan"), std::string::npos);
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
