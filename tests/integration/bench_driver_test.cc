// The direct benchmark on a model small enough to make on the spot: what is counted, not how fast it is.
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <map>
#include <set>

#include "perf/driver/bench_spec.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

class BenchDriverTest : public testing::Test {
 protected:
  BenchSpec Spec() const {
    BenchSpec spec;
    spec.model_path = model_.path();
    spec.max_model_len = 512;
    spec.threads = 1;
    spec.repeats = 2;
    spec.warmup = 1;
    spec.num_prompts = 5;
    spec.max_tokens = 8;
    return spec;
  }

  TinyModel model_;
};

TEST_F(BenchDriverTest, SyntheticWeightsAreMeasuredAndCalledSo) {
  BenchSpec spec = Spec();
  spec.synthetic = SyntheticSpec{"smollm2-135m", "q4_1"};
  spec.model_path = spec.synthetic->Name();
  spec.batch_sizes = {1};
  spec.repeats = 1;
  spec.num_prompts = 2;
  spec.max_tokens = 2;
  const Result<Json> study = RunBenchmark(spec, {});
  ASSERT_TRUE(study.has_value()) << study.error().message();
  EXPECT_EQ((*study)["results"][0]["num_ok"], 2);
  EXPECT_EQ((*study)["model"]["load_format"], "dummy");
  EXPECT_EQ((*study)["model"]["weights"], "synthetic weights");
  EXPECT_EQ((*study)["model"]["name"], "synthetic-smollm2-135m-q4_1");
  EXPECT_EQ((*study)["model"]["weight_format"], "Q4_1");
  EXPECT_TRUE((*study)["model"]["sha256"].is_null());
  EXPECT_EQ((*study)["parameters"]["prompts"], "random token ids");
  EXPECT_TRUE((*study)["notes"].back().get<std::string>().starts_with("synthetic weights"));

  spec.mode = BenchMode::kMatrix;
  spec.prompt_lens = {8};
  spec.gen_len = 2;
  const Result<Json> matrix = RunBenchmark(spec, {});
  ASSERT_TRUE(matrix.has_value()) << matrix.error().message();
  EXPECT_EQ((*matrix)["matrix"].size(), 1u);
  EXPECT_EQ((*matrix)["model"]["load_format"], "dummy");
}

TEST_F(BenchDriverTest, SaysWhereTheMemoryWent) {
  BenchSpec spec = Spec();
  spec.batch_sizes = {1};
  spec.repeats = 1;
  const Result<Json> document = RunBenchmark(spec, {});
  ASSERT_TRUE(document.has_value()) << document.error().message();
  const Json& memory = (*document)["memory"];
  EXPECT_GE(memory["process_peak_bytes"].get<int64_t>(), memory["process_bytes"].get<int64_t>());
  EXPECT_GT(memory["packed_weights_bytes"].get<int64_t>(), 0);
  EXPECT_LE(memory["huge_page_bytes"].get<int64_t>(), memory["packed_weights_bytes"].get<int64_t>());
  EXPECT_EQ((*document)["model"]["weight_storage"], "repack");
  EXPECT_GT((*document)["model"]["load_s"].get<double>(), 0);
}

TEST_F(BenchDriverTest, MaxRunsEveryDoublingThatFitsAndSaysWhatStoppedIt) {
  BenchSpec spec = Spec();
  spec.batch_sizes = {8};
  spec.up_to_max = true;
  spec.repeats = 1;
  spec.warmup = 0;
  spec.num_prompts = 2;
  spec.max_tokens = 2;
  spec.max_model_len = 64;
  spec.probe_limits = false;
  const Result<Json> document = RunBenchmark(spec, {});
  ASSERT_TRUE(document.has_value()) << document.error().message();
  const Json& limit = (*document)["batch_limit"];
  const Json& rows = (*document)["results"];
  // The tiny model's contexts are small, so what stops it is the engine, on any machine with some memory.
  EXPECT_EQ(limit["stopped_by"], "max_num_seqs") << limit.dump();
  ASSERT_EQ(rows.size(), 8u) << limit.dump();
  EXPECT_EQ(rows[0]["batch_size"], 8);
  EXPECT_EQ(rows[1]["batch_size"], 16);
  EXPECT_EQ(rows[7]["batch_size"], 1024);
  EXPECT_EQ((*document)["parameters"]["max_num_seqs"], 1024);
  EXPECT_EQ((*document)["parameters"]["batch_sizes"].size(), 8u);

  spec.mode = BenchMode::kMatrix;
  EXPECT_EQ(RunBenchmark(spec, {}).error().code(), StatusCode::kInvalidArgument);
}

TEST_F(BenchDriverTest, KeepsTheBatchFullAndCountsOnlyMeasuredPrompts) {
  BenchSpec spec = Spec();
  spec.batch_sizes = {1, 3};
  std::vector<RequestRecord> records;
  spec.on_record = [&](const RequestRecord& record) { records.push_back(record); };
  const Result<Json> document = RunBenchmark(spec, {});
  ASSERT_TRUE(document.has_value()) << document.error().message();
  ASSERT_EQ((*document)["results"].size(), 2u);
  for (const Json& row : (*document)["results"]) {
    EXPECT_EQ(row["num_requests"], 10);
    EXPECT_EQ(row["num_ok"], 10);
    EXPECT_EQ(row["output_tokens"], 80);
    EXPECT_EQ(row["runs"].size(), 2u);
    EXPECT_GT(row["output_tps_steady"].get<double>(), 0);
    EXPECT_TRUE(row["limit"].is_object());
  }
  EXPECT_EQ((*document)["results"][0]["num_filler"], 0);
  EXPECT_GT((*document)["results"][1]["num_filler"].get<int>(), 0);

  ASSERT_EQ(records.size(), 20u);
  std::set<std::string> prompts;
  for (const RequestRecord& record : records) {
    EXPECT_EQ(record.output_tokens, 8);
    EXPECT_EQ(record.token_times_ms.size(), 8u);
    EXPECT_EQ(record.cached_tokens, 0);
    EXPECT_FALSE(record.prompt_id.starts_with("warmup"));
    EXPECT_TRUE(prompts.insert(record.prompt_id).second) << record.prompt_id << " was measured twice";
    const auto batch = JsonNumber(FindJson(record.server, {"batch_mean"}));
    ASSERT_TRUE(batch.has_value());
    // With a full tail nobody computes in a smaller batch than asked for.
    EXPECT_NEAR(*batch, record.id.starts_with("b3") ? 3 : 1, 0.35) << record.id;
  }
}

TEST_F(BenchDriverTest, PromptsOfAnExactNumberOfTokensAreAllDifferent) {
  BenchSpec spec = Spec();
  spec.batch_sizes = {2};
  spec.prompt_tokens = 33;
  spec.prefix_cache = true;
  int64_t seen = 0;
  spec.on_record = [&](const RequestRecord& record) {
    ++seen;
    EXPECT_EQ(record.prompt_tokens, 33);
  };
  const Result<Json> document = RunBenchmark(spec, {});
  ASSERT_TRUE(document.has_value()) << document.error().message();
  EXPECT_EQ(seen, 10);
  EXPECT_EQ((*document)["results"][0]["input_tokens"], 330);
  EXPECT_EQ((*document)["results"][0]["cached_tokens"], 0);
  EXPECT_EQ((*document)["parameters"]["prompt_tokens"], 33);

  spec.prompt_tokens = 505;
  const Result<Json> too_long = RunBenchmark(spec, {});
  ASSERT_FALSE(too_long.has_value());
  EXPECT_NE(too_long.error().message().find("expected at most 504"), std::string::npos)
      << too_long.error().message();
}

TEST_F(BenchDriverTest, PromptsOfAFileAreMeasuredAndCachedOnlyWhereAsked) {
  const std::string path = testing::TempDir() + "bench_prompts.jsonl";
  std::ofstream(path)
      << R"({"prompt": "the same words in every line of this file, and more than sixteen of them so that a block is full: a"})"
      << "\n"
      << R"({"messages": [{"role": "user", "content": "the same words in every line of this file, and more than sixteen of them so that a block is full: b"}]})"
      << "\n";
  BenchSpec spec = Spec();
  spec.batch_sizes = {1};
  spec.dataset.kind = DatasetSpec::Kind::kJsonl;
  spec.dataset.path = path;
  spec.dataset.text = "jsonl:" + path;
  const Result<Json> without = RunBenchmark(spec, {});
  ASSERT_TRUE(without.has_value()) << without.error().message();
  EXPECT_EQ((*without)["results"][0]["num_ok"], 10);
  EXPECT_EQ((*without)["results"][0]["cached_tokens"], 0);
  EXPECT_EQ((*without)["parameters"]["prompts"], spec.dataset.text);
  EXPECT_EQ((*without)["parameters"]["prefix_cache"], "off");

  spec.prefix_cache = true;
  const Result<Json> with = RunBenchmark(spec, {});
  ASSERT_TRUE(with.has_value()) << with.error().message();
  EXPECT_EQ((*with)["parameters"]["prefix_cache"], "on");
  EXPECT_GT((*with)["results"][0]["cached_tokens"], (*with)["results"][0]["input_tokens"].get<int64_t>() / 2);
}

TEST_F(BenchDriverTest, StaticGroupsStartTogether) {
  BenchSpec spec = Spec();
  spec.batch_sizes = {4};
  spec.repeats = 1;
  spec.batching = Batching::kStatic;
  std::map<double, int> starts;
  spec.on_record = [&](const RequestRecord& record) { ++starts[record.intended_ms]; };
  const Result<Json> document = RunBenchmark(spec, {});
  ASSERT_TRUE(document.has_value()) << document.error().message();
  ASSERT_EQ(starts.size(), 2u);  // 4 prompts, then 1 with 3 fillers
  EXPECT_EQ(starts.begin()->second, 4);
  EXPECT_EQ((*document)["results"][0]["num_filler"], 3);
}

TEST_F(BenchDriverTest, MatrixTimesPrefillAndDecodeApart) {
  BenchSpec spec = Spec();
  spec.mode = BenchMode::kMatrix;
  spec.prompt_lens = {16, 700};  // the long one takes several steps per prompt
  spec.gen_len = 6;
  spec.batch_sizes = {1, 3};
  const Result<Json> document = RunBenchmark(spec, {});
  ASSERT_TRUE(document.has_value()) << document.error().message();
  ASSERT_EQ((*document)["matrix"].size(), 4u);
  for (const Json& row : (*document)["matrix"]) {
    const double batch = row["pl"].get<double>();
    EXPECT_EQ(row["tg"], 6);
    EXPECT_EQ(row["samples_ns"].size(), 2u);
    EXPECT_NEAR(row["speed_pp_tps"].get<double>() * row["t_pp_s"].get<double>(),
                batch * row["pp"].get<double>(), 1e-6);
    EXPECT_NEAR(row["speed_tg_tps"].get<double>() * row["t_tg_s"].get<double>(), batch * 6, 1e-6);
  }
  EXPECT_GT((*document)["matrix"][2]["t_pp_s"].get<double>(),
            (*document)["matrix"][0]["t_pp_s"].get<double>());
}

void ExpectSegmentsSumToTheStep(const Json& step, const Json& mean_ms) {
  double sum = 0;
  for (const auto& [name, ms] : step["segments_ms"].items()) sum += ms.get<double>();
  EXPECT_EQ(step["segments_ms"].size(), 12u);
  EXPECT_NEAR(sum, mean_ms.get<double>(), 0.02 * mean_ms.get<double>());
}

TEST_F(BenchDriverTest, ProfileSplitsStepsByKindAndSegment) {
  BenchSpec spec = Spec();
  spec.profile = true;
  spec.threads = 2;
  spec.batch_sizes = {3};
  spec.max_tokens = 40;
  const Result<Json> document = RunBenchmark(spec, {});
  ASSERT_TRUE(document.has_value()) << document.error().message();
  const Json& step = (*document)["results"][0]["step"];
  ExpectSegmentsSumToTheStep(step, step["mean_ms"]);
  const Json& decode = step["kinds"]["decode"];
  ExpectSegmentsSumToTheStep(decode, decode["mean_ms"]);
  EXPECT_DOUBLE_EQ(decode["mean_ms"].get<double>(), step["decode_ms"].get<double>());
  EXPECT_EQ(decode["prefill_tokens_mean"], 0);
  EXPECT_NEAR(decode["decode_rows_mean"].get<double>(), 3, 0.1);
  EXPECT_GT(decode["context_tokens_mean"].get<double>(), 1);
  // What recording costs is measured too, and judged.
  EXPECT_TRUE(step["profiling_cost_ratio"].is_number());
  bool judged = false;
  for (const Json& check : (*document)["validity"]["checks"]) judged = judged || check["id"] == "V-22";
  EXPECT_TRUE(judged);
}

TEST_F(BenchDriverTest, ProfileOfAMatrixCellSeparatesPrefillFromDecode) {
  BenchSpec spec = Spec();
  spec.mode = BenchMode::kMatrix;
  spec.profile = true;
  spec.prompt_lens = {40};
  spec.gen_len = 12;
  spec.batch_sizes = {1};
  const Result<Json> document = RunBenchmark(spec, {});
  ASSERT_TRUE(document.has_value()) << document.error().message();
  const Json& step = (*document)["matrix"][0]["step"];
  const Json& prefill = step["kinds"]["prefill"];
  EXPECT_EQ(prefill["count"], 2);  // one per repeat
  EXPECT_EQ(prefill["prefill_tokens_mean"], 40);
  ExpectSegmentsSumToTheStep(prefill, prefill["mean_ms"]);
  EXPECT_EQ(step["kinds"]["decode"]["count"], 2 * 9);  // of 12 steps every fourth runs without recording
  EXPECT_TRUE(step["kinds"]["mixed"].is_null());
}

TEST_F(BenchDriverTest, WithoutProfileAMatrixRowHasNoStepsAndLimitsBesideEveryFigure) {
  BenchSpec spec = Spec();
  spec.mode = BenchMode::kMatrix;
  spec.prompt_lens = {40};
  spec.gen_len = 4;
  spec.batch_sizes = {2};
  const Result<Json> document = RunBenchmark(spec, {});
  ASSERT_TRUE(document.has_value()) << document.error().message();
  const Json& row = (*document)["matrix"][0];
  EXPECT_FALSE(row.contains("step"));
  for (const char* key : {"limit_pp_tps", "limit_tg_tps", "share_pp_ratio", "share_tg_ratio",
                          "share_int8_tg_ratio", "mac_pp_per_s", "mac_tg_per_s", "read_tg_bytes_per_s"}) {
    EXPECT_GT(row[key].get<double>(), 0) << key;
  }
  // One of the two, as the kernels compute prompts.
  EXPECT_NE(row["share_int8_pp_ratio"].is_null(), row["share_tile_pp_ratio"].is_null());
  EXPECT_LE(row["speed_tg_tps_range"][0], row["speed_tg_tps"]);
  EXPECT_GE(row["speed_tg_tps_range"][1], row["speed_tg_tps"]);
}

TEST_F(BenchDriverTest, StoppingKeepsWhatWasMeasured) {
  BenchSpec spec = Spec();
  spec.batch_sizes = {2};
  spec.repeats = 1000;
  std::atomic<bool> stop{false};
  spec.stop = &stop;
  int seen = 0;
  spec.on_record = [&](const RequestRecord&) {
    if (++seen == 7) stop = true;
  };
  const Result<Json> document = RunBenchmark(spec, {});
  ASSERT_TRUE(document.has_value()) << document.error().message();
  EXPECT_EQ((*document)["interrupted"], true);
  const Json& row = (*document)["results"][0];
  EXPECT_GE(row["num_ok"].get<int>(), 7);
  EXPECT_LE(row["num_ok"].get<int>(), 8);  // two run at once
  EXPECT_EQ(row["num_requests"], row["num_ok"]);
}

TEST_F(BenchDriverTest, RefusesASpecThatMeansNothing) {
  BenchSpec spec = Spec();
  spec.batch_sizes = {2, 0};
  EXPECT_EQ(RunBenchmark(spec, {}).error().code(), StatusCode::kInvalidArgument);
  spec.batch_sizes = {};
  EXPECT_EQ(RunBenchmark(spec, {}).error().code(), StatusCode::kInvalidArgument);
  spec = Spec();
  spec.model_path = "/no/such/model.gguf";
  EXPECT_EQ(RunBenchmark(spec, {}).error().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace weir
