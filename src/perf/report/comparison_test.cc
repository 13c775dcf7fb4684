#include "perf/report/comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/rng.h"

namespace weir {
namespace {

// output_tps_steady of 30 repeats of 8 prompts x 24 tokens, SmolLM2 135M Q4_1 on two cores of a busy host: the shape of
// real noise, skewed and with slow spells, spread 21 % and 15 %.
constexpr double kBatch1[] = {256.9, 188.0, 174.3, 189.3, 203.7, 274.1, 254.0, 167.9, 163.5, 168.4,
                              163.9, 164.7, 154.8, 176.9, 175.1, 200.9, 246.5, 220.8, 214.8, 197.4,
                              162.6, 234.0, 300.6, 314.2, 235.3, 223.6, 248.9, 259.8, 172.2, 285.5};
constexpr double kBatch8[] = {684.2, 645.8, 450.7, 585.8, 749.9, 658.9, 589.2, 518.5, 486.3, 515.8,
                              513.8, 531.4, 520.7, 555.2, 509.0, 503.6, 578.2, 543.4, 595.7, 563.5,
                              708.7, 791.4, 735.5, 568.1, 608.3, 527.9, 768.5, 598.3, 524.4, 698.4};

Json BenchmarkWith(const std::vector<std::pair<int, double>>& rows) {
  Json document = {{"schema_version", "1.0"},
                   {"kind", "benchmark"},
                   {"run_id", "r"},
                   {"model", {{"name", "m"}, {"sha256", "abc"}}},
                   {"environment", {{"cpu_model", "cpu"}, {"isa", "avx2"}, {"logical_cores", 2}}},
                   {"parameters", {{"max_tokens", 100}, {"seed", 1}}},
                   {"results", Json::array()},
                   {"validity", {{"verdict", "VALID"}}},
                   {"void", Json::array()}};
  for (const auto& [batch, tps] : rows) {
    document["results"].push_back({{"batch_size", batch},
                                   {"batching", "continuous"},
                                   {"output_tps_steady", tps},
                                   {"runs", Json::array({{{"output_tps_steady", tps}}})}});
  }
  return document;
}

Json LoadTestWith(double tps, double ttft_p95, double e2el_p95, double success) {
  Json document = BenchmarkWith({});
  document["kind"] = "load_test";
  document["results"].push_back({{"mode", "closed"},
                                 {"output_tps", tps},
                                 {"ttft_ms", {{"p95", ttft_p95}}},
                                 {"e2el_ms", {{"p95", e2el_p95}}},
                                 {"success_ratio", success}});
  return document;
}

// Draws runs whose noise has the recorded shape. `spread`: standard deviation over mean; 0 keeps the recorded one.
class RecordedNoise {
 public:
  RecordedNoise(std::span<const double> values, double spread) : values_(values) {
    const double n = static_cast<double>(values.size());
    mean_ = std::accumulate(values.begin(), values.end(), 0.0) / n;
    double squares = 0;
    for (const double value : values) squares += (value - mean_) * (value - mean_);
    const double recorded = std::sqrt(squares / (n - 1)) / mean_;
    scale_ = spread > 0 ? spread / recorded : 1;
  }
  double Draw(Rng* rng) const { return mean_ + (values_[rng->NextBelow(values_.size())] - mean_) * scale_; }

 private:
  std::span<const double> values_;
  double mean_ = 0, scale_ = 1;
};

Json CompareDrawn(Rng* rng, double spread, double slowdown) {
  const RecordedNoise one(kBatch1, spread), eight(kBatch8, spread);
  ComparisonSide a{"a", {}}, b{"b", {}};
  for (int run = 0; run < 10; ++run) {
    a.documents.push_back(BenchmarkWith({{1, one.Draw(rng)}, {8, eight.Draw(rng)}}));
    b.documents.push_back(
        BenchmarkWith({{1, one.Draw(rng) * (1 - slowdown)}, {8, eight.Draw(rng) * (1 - slowdown)}}));
  }
  const Result<Json> result = CompareSides(a, b, {});
  EXPECT_TRUE(result.has_value());
  return *result;
}

TEST(ComparisonTest, IdenticalSidesReadAsWorseInAtMostFiveOfAHundred) {
  for (const double spread : {0.0, 0.025, 0.05}) {
    Rng rng(3);
    int worse = 0;
    for (int trial = 0; trial < 100; ++trial) worse += CompareDrawn(&rng, spread, 0)["verdict"] == "worse";
    EXPECT_LE(worse, 5) << "spread " << spread;
  }
}

TEST(ComparisonTest, ALossOfFivePercentIsFoundInAtLeastNinetyOfAHundred) {
  Rng rng(4);
  int found = 0;
  for (int trial = 0; trial < 100; ++trial) found += CompareDrawn(&rng, 0.025, 0.05)["verdict"] == "worse";
  EXPECT_GE(found, 90);
}

TEST(ComparisonTest, OnAMachineTooNoisyToSeeALossItSaysThatNoneIsExcluded) {
  Rng rng(5);
  int admitted = 0;
  for (int trial = 0; trial < 20; ++trial) {
    const Json result = CompareDrawn(&rng, 0, 0);
    admitted += result["metrics"][0]["largest_loss_ratio"].get<double>() > 0.05;
  }
  EXPECT_GE(admitted, 18);
}

ComparisonSide Side(const std::string& name, std::vector<Json> documents) {
  return {name, std::move(documents)};
}

TEST(ComparisonTest, OneBenchmarkFileBringsItsRepeats) {
  Json a = BenchmarkWith({{8, 100}}), b = a;
  a["results"][0]["runs"] = Json::array();
  b["results"][0]["runs"] = Json::array();
  for (int i = 0; i < 5; ++i) {
    a["results"][0]["runs"].push_back({{"output_tps_steady", 100 + i * 0.1}});
    b["results"][0]["runs"].push_back({{"output_tps_steady", 90 + i * 0.1}});
  }
  const Result<Json> result = CompareSides(Side("a", {a}), Side("b", {b}), {});
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ((*result)["verdict"], "worse");
  EXPECT_EQ((*result)["metrics"][0]["verdict"], "worse");
  EXPECT_NEAR((*result)["metrics"][0]["shift_ratio"].get<double>(), -0.0998, 0.0005);
  EXPECT_NEAR((*result)["metrics"][0]["p"].get<double>(), 0.0079, 0.0001);
  const Result<Json> other = CompareSides(Side("b", {b}), Side("a", {a}), {});
  EXPECT_EQ((*other)["verdict"], "not worse");
  EXPECT_EQ((*other)["metrics"][0]["verdict"], "better");
}

TEST(ComparisonTest, LoadTestsAreJudgedInTheDirectionOfEachMetric) {
  std::vector<Json> a, b;
  for (int i = 0; i < 6; ++i) {
    a.push_back(LoadTestWith(100 + i, 50 + i * 0.1, 900 + i, 1.0));
    b.push_back(LoadTestWith(120 + i, 60 + i * 0.1, 700 + i, 0.9));
  }
  const Result<Json> result = CompareSides(Side("a", a), Side("b", b), {});
  ASSERT_TRUE(result.has_value());
  const Json& metrics = (*result)["metrics"];
  ASSERT_EQ(metrics.size(), 4u);
  EXPECT_EQ(metrics[0]["verdict"], "better");  // throughput up
  EXPECT_EQ(metrics[1]["verdict"], "worse");   // time to first token up
  EXPECT_EQ(metrics[2]["verdict"], "better");  // latency down
  EXPECT_EQ(metrics[3]["verdict"], "worse");   // ten points of success lost
  EXPECT_NEAR(metrics[3]["shift_ratio"].get<double>(), -0.1, 1e-9);
  EXPECT_EQ((*result)["verdict"], "worse");
}

TEST(ComparisonTest, ARealChangeBelowTheMinimumEffectIsNoRegression) {
  std::vector<Json> a, b;
  for (int i = 0; i < 10; ++i) {
    a.push_back(BenchmarkWith({{1, 100 + i * 0.01}}));
    b.push_back(BenchmarkWith({{1, 98 + i * 0.01}}));
  }
  EXPECT_EQ((*CompareSides(Side("a", a), Side("b", b), {}))["verdict"], "not worse");
  ComparisonOptions strict_about_one_percent;
  strict_about_one_percent.min_effect_ratio = 0.01;
  EXPECT_EQ((*CompareSides(Side("a", a), Side("b", b), strict_about_one_percent))["verdict"], "worse");
}

TEST(ComparisonTest, FewRunsAreInconclusiveAndInvalidRunsCannotWin) {
  std::vector<Json> few(3, BenchmarkWith({{1, 100}})), many(6, BenchmarkWith({{1, 100}}));
  EXPECT_EQ((*CompareSides(Side("a", few), Side("b", few), {}))["verdict"], "inconclusive");
  std::vector<Json> invalid = many;
  invalid[2]["validity"]["verdict"] = "INVALID";
  invalid[2]["void"] = {"/results"};
  const Json result = *CompareSides(Side("a", many), Side("b", invalid), {});
  EXPECT_EQ(result["verdict"], "invalid");
  EXPECT_EQ(result["metrics"][0]["num_void"], 1);
  EXPECT_EQ(result["metrics"][0]["b_values"].size(), 5u);
}

TEST(ComparisonTest, StrictAsksForTheProofThatNothingWasLost) {
  std::vector<Json> a, b;
  for (int i = 0; i < 6; ++i) {
    a.push_back(BenchmarkWith({{1, 90 + 4 * i}}));
    b.push_back(BenchmarkWith({{1, 89 + 4 * i}}));
  }
  ComparisonOptions strict;
  strict.strict = true;
  EXPECT_EQ((*CompareSides(Side("a", a), Side("b", b), {}))["verdict"], "not worse");
  EXPECT_EQ((*CompareSides(Side("a", a), Side("b", b), strict))["verdict"], "inconclusive");
}

TEST(ComparisonTest, DifferentTestsAreRefusedUnlessForced) {
  const std::vector<Json> a(4, BenchmarkWith({{1, 100}}));
  struct Case {
    std::string pointer;
    Json value;
    std::string words;
  };
  for (const Case& one :
       {Case{"/model/sha256", "def", "model hash"},
        Case{"/parameters/max_tokens", 50, "parameter max_tokens 100 and 50"},
        Case{"/parameters/kv_cache_dtype", "int8", "kv_cache_dtype absent"},
        Case{"/environment/isa", "amx", "machine: isa"}, Case{"/kind", "load_test", "kind"}}) {
    std::vector<Json> b = a;
    b[1][Json::json_pointer(one.pointer)] = one.value;
    const Result<Json> refused = CompareSides(Side("a.json", a), Side("b.json", b), {});
    ASSERT_FALSE(refused.has_value()) << one.pointer;
    EXPECT_EQ(refused.error().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(refused.error().message().find(one.words), std::string::npos) << refused.error().message();
    ComparisonOptions force;
    force.force = true;
    const Result<Json> forced = CompareSides(Side("a.json", a), Side("b.json", b), force);
    ASSERT_TRUE(forced.has_value());
    EXPECT_EQ((*forced)["forced_differences"].size(), 1u);
  }
}

TEST(ComparisonTest, NothingMeasuredIsNoResultAndNoCrash) {
  std::vector<Json> empty(5, BenchmarkWith({}));
  EXPECT_EQ((*CompareSides(Side("a", empty), Side("b", empty), {}))["verdict"], "inconclusive");
  std::vector<Json> nulls(5, BenchmarkWith({{1, 0}}));
  for (Json& document : nulls) {
    document["results"][0]["output_tps_steady"] = nullptr;
    document["results"][0].erase("runs");
  }
  const Json result = *CompareSides(Side("a", nulls), Side("b", nulls), {});
  EXPECT_EQ(result["verdict"], "inconclusive");
  EXPECT_EQ(result["metrics"][0]["verdict"], "not measured");
  std::vector<Json> zeros(5, BenchmarkWith({{1, 0}}));
  EXPECT_TRUE((*CompareSides(Side("a", zeros), Side("b", zeros), {}))["metrics"][0]["shift_ratio"].is_null());
  EXPECT_FALSE(CompareSides(Side("a", {}), Side("b", zeros), {}).has_value());
}

}  // namespace
}  // namespace weir
