// Files of other tools: the same run under their names, with their formulas.
#include "perf/report/foreign_format.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace weir {
namespace {

// One request: first token after 2000 ms, then one every 10 ms, 128 in all.
RequestRecord Example(double sent_ms = 0) {
  RequestRecord record;
  record.intended_ms = sent_ms - 5;
  record.sent_ms = sent_ms;
  record.first_token_ms = sent_ms + 2000;
  for (int i = 0; i < 128; ++i) record.token_times_ms.push_back(sent_ms + 2000 + 10 * i);
  record.chunk_sizes.assign(128, 1);
  record.last_token_ms = record.token_times_ms.back();
  record.done_ms = *record.last_token_ms + 3;
  record.prompt_tokens = 40;
  record.output_tokens = record.max_tokens = 128;
  record.outcome = Outcome::kOk;
  return record;
}

RequestRecord Failed(Outcome outcome) {
  RequestRecord record;
  record.sent_ms = 50;
  record.done_ms = 60;
  record.outcome = outcome;
  record.error = RecordError{"http_500", 500, "first_byte", "it broke"};
  return record;
}

Json LoadDocument() {
  return {{"kind", "load_test"},
          {"run_id", "r1"},
          {"created_at", "2026-01-31T23:59:58Z"},
          {"model", {{"name", "m"}}},
          {"parameters", {{"max_in_flight", nullptr}}},
          {"results",
           {{{"mode", "closed"},
             {"concurrency", 2},
             {"wall_s", 4.0},
             {"counts", {{"ok", 2}, {"failed", 1}, {"shed", 1}}},
             {"input_tokens", 80},
             {"output_tokens", 256},
             {"output_tps", 64.0},
             {"total_tps", 84.0},
             {"requests_per_s", 0.5},
             {"chunks", {{"peak_output_tps", 200}}},
             {"errors",
              {{{"class", "http_500"}, {"http_status", 500}, {"message", "it broke"}, {"count", 2}}}}}}}};
}

Json Written(ForeignFormat format, const Json& document, const std::vector<RequestRecord>& records) {
  const auto files = WriteForeign(format, document, records);
  EXPECT_TRUE(files.has_value()) << files.status().message();
  return *ParseJson(files->front().content);
}

TEST(VllmFormatTest, HasItsWordsFormulasAndUnits) {
  const std::vector<RequestRecord> records = {Example(0), Example(1000), Failed(Outcome::kFailed),
                                              Failed(Outcome::kShed), Failed(Outcome::kCancelled)};
  const Json out = Written(ForeignFormat::kVllm, LoadDocument(), records);
  EXPECT_EQ(out["date"], "20260131-235958");
  EXPECT_NEAR(out["mean_tpot_ms"].get<double>(), 10.00, 1e-9);
  EXPECT_NEAR(out["mean_ttft_ms"].get<double>(), 2000, 1e-9);
  EXPECT_NEAR(out["median_itl_ms"].get<double>(), 10, 1e-9);
  EXPECT_NEAR(out["p99_e2el_ms"].get<double>(), 3270,
              1e-9);  // to the last token, not to the end of the stream
  EXPECT_EQ(out["completed"], 2);
  EXPECT_EQ(out["failed"], 2);  // a refused request is a failed one there
  EXPECT_EQ(out["num_prompts"], 4);
  EXPECT_EQ(out["request_rate"], "inf");
  EXPECT_EQ(out["max_concurrency"], 2);
  EXPECT_TRUE(out["request_goodput"].is_null());
  EXPECT_EQ(out["output_throughput"], 64.0);
  EXPECT_EQ(out["max_output_tokens_per_s"], 200);
  EXPECT_EQ(out["max_concurrent_requests"], 4);
  for (const char* list :
       {"input_lens", "output_lens", "ttfts", "itls", "latencies", "start_times", "queue_times", "errors"})
    EXPECT_EQ(out[list].size(), 4u) << list;
  EXPECT_EQ(out["ttfts"][0], 2.0);  // seconds
  EXPECT_EQ(out["itls"][0].size(), 127u);
  EXPECT_NEAR(out["itls"][0][0].get<double>(), 0.01, 1e-9);
  EXPECT_NEAR(out["queue_times"][0].get<double>(), 0.005, 1e-9);
  EXPECT_TRUE(out.contains("mean_client_queue_time_ms"));
  EXPECT_FALSE(out.contains("mean_e2el_including_client_queue_ms"));
}

TEST(VllmFormatTest, AllFailedIsZerosAsThereAndNoDivisionByZero) {
  Json document = LoadDocument();
  document["results"][0]["output_tps"] = nullptr;
  const Json out = Written(ForeignFormat::kVllm, document, {Failed(Outcome::kFailed)});
  EXPECT_EQ(out["mean_ttft_ms"], 0);
  EXPECT_EQ(out["output_throughput"], 0);
}

TEST(VllmFormatTest, DirectRunsBecomeLatencyAndThroughputOfTheBestRow) {
  const Json document = {
      {"kind", "benchmark"},
      {"model", {{"name", "m"}}},
      {"results",
       {{{"batch_size", 1}, {"output_tps_steady", 10.0}, {"wall_s", 9.0}},
        {{"batch_size", 8}, {"output_tps_steady", 50.0}, {"wall_s", 4.0}, {"requests_per_s", 0.5}}}}};
  std::vector<RequestRecord> records = {Example(0), Example(1), Example(2)};
  records[0].id = "b8-r1-0";
  records[1].id = "b8-r1-1";
  records[2].id = "b1-r1-0";
  const Json out = Written(ForeignFormat::kVllm, document, records);
  EXPECT_EQ(out["latencies"].size(), 2u);
  EXPECT_NEAR(out["avg_latency"].get<double>(), 3.273, 1e-9);
  EXPECT_NEAR(out["percentiles"]["90"].get<double>(), 3.273, 1e-9);
  EXPECT_EQ(out["total_num_tokens"], 336);
  EXPECT_EQ(out["tokens_per_second"], 84.0);
}

TEST(GuidellmFormatTest, ItsTimePerTokenHasTheFirstOneAndItsGapIsPerRequest) {
  std::vector<RequestRecord> records = {Example(0), Example(100), Failed(Outcome::kFailed),
                                        Failed(Outcome::kShed)};
  const Json report = Written(ForeignFormat::kGuidellm, LoadDocument(), records);
  EXPECT_EQ(report["metadata"]["version"], 2);
  const Json& one = report["benchmarks"][0];
  EXPECT_EQ(one["config"]["strategy"]["streams"], 2);
  const Json& metrics = one["metrics"];
  EXPECT_EQ(metrics["request_totals"]["successful"], 2);
  EXPECT_EQ(metrics["request_totals"]["errored"], 2);
  const auto mean = [&](const char* name) { return metrics[name]["successful"]["mean"].get<double>(); };
  EXPECT_NEAR(mean("inter_token_latency_ms"), 10.0, 1e-9);
  EXPECT_NEAR(mean("time_per_output_token_ms"), 25.546875, 1e-9);
  EXPECT_NEAR(mean("time_to_first_token_ms"), 2000, 1e-9);
  EXPECT_NEAR(mean("request_latency"), 3.273, 1e-9);  // seconds
  EXPECT_NEAR(mean("output_tokens_per_second"), 64, 1e-9);
  EXPECT_EQ(metrics["output_token_count"]["successful"]["mode"], 128);
  EXPECT_NEAR(one["start_time"].get<double>(), 1769903998, 1e-6);  // 2026-01-31T23:59:58Z
  // Nothing succeeded: no numbers, and none made up.
  const Json none = Written(ForeignFormat::kGuidellm, LoadDocument(), {Failed(Outcome::kFailed)});
  EXPECT_TRUE(none["benchmarks"][0]["metrics"]["request_latency"].empty());
  Json bursts = LoadDocument();
  bursts["results"][0]["mode"] = "open";
  bursts["results"][0]["arrival"] = "gamma";
  EXPECT_FALSE(WriteForeign(ForeignFormat::kGuidellm, bursts, records).has_value());
}

TEST(AiperfFormatTest, ItsInterTokenLatencyIsPerRequest) {
  const Json out = Written(ForeignFormat::kAiperf, LoadDocument(), {Example(0), Failed(Outcome::kFailed)});
  EXPECT_NEAR(out["inter_token_latency"]["avg"].get<double>(), 10, 1e-9);
  EXPECT_EQ(out["inter_token_latency"]["count"], 1);
  EXPECT_EQ(out["inter_token_latency"]["unit"], "ms");
  EXPECT_EQ(out["request_throughput"]["avg"], 0.5);
  EXPECT_FALSE(out["request_throughput"].contains("p50"));
  EXPECT_EQ(out["error_summary"][0]["error_details"]["code"], 500);
  EXPECT_EQ(out["was_cancelled"], false);
  const Json none = Written(ForeignFormat::kAiperf, LoadDocument(), {Failed(Outcome::kFailed)});
  EXPECT_FALSE(none.contains("request_latency"));
}

TEST(LlamaBenchFormatTest, ACellIsAPromptRowAndAGenerationRow) {
  const Json document = {
      {"kind", "benchmark"},
      {"results", Json::array()},
      {"tool", {{"commit", "abc"}}},
      {"parameters", {{"threads", 2}, {"kv_cache_dtype", "fp16"}, {"max_model_len", 4096}}},
      {"matrix",
       {{{"pp", 512},
         {"tg", 128},
         {"pl", 1},
         {"samples_pp_ns", {1e9, 1e9}},
         {"samples_tg_ns", {2e9, 4e9}},
         {"t_pp_s", 1.0},
         {"t_tg_s", 3.0}},
        {{"pp", 512}, {"tg", 128}, {"pl", 8}, {"t_pp_s", 4.0}, {"t_tg_s", 6.0}}}}};
  const auto files = WriteForeign(ForeignFormat::kLlamaBench, document, {});
  ASSERT_TRUE(files.has_value());
  ASSERT_EQ(files->size(), 2u);
  const Json rows = *ParseJson((*files)[0].content);
  ASSERT_EQ(rows.size(), 2u);  // no batches of sequences in that file
  EXPECT_EQ(rows[0]["n_prompt"], 512);
  EXPECT_EQ(rows[0]["n_gen"], 0);
  EXPECT_EQ(rows[0]["avg_ts"], 512.0);
  EXPECT_EQ(rows[0]["stddev_ts"], 0.0);
  EXPECT_EQ(rows[1]["n_gen"], 128);
  EXPECT_EQ(rows[1]["avg_ns"], 3000000000);
  EXPECT_EQ(rows[1]["avg_ts"], 48.0);  // the mean of 64 and 32
  // llama.cpp's compare-llama-bench.py refuses a row that lacks one of the settings it groups by.
  for (const char* key :
       {"build_commit", "test_time",    "avg_ts",  "cpu_info",  "gpu_info",       "backends",
        "n_gpu_layers", "n_cpu_moe",    "type_k",  "type_v",    "model_filename", "model_type",
        "n_batch",      "n_ubatch",     "poll",    "n_threads", "embeddings",     "tensor_buft_overrides",
        "cpu_mask",     "cpu_strict",   "n_depth", "main_gpu",  "load_mode",      "no_kv_offload",
        "split_mode",   "tensor_split", "n_gen",   "n_prompt",  "flash_attn",     "fit_target",
        "fit_min_ctx"}) {
    EXPECT_TRUE(rows[0].contains(key)) << key;
  }
  EXPECT_EQ(std::count((*files)[1].content.begin(), (*files)[1].content.end(), '\n'), 2);
  const Json batched = *ParseJson((*files)[1].content.substr((*files)[1].content.find('\n') + 1));
  EXPECT_EQ(batched["pl"], 8);
  EXPECT_EQ(batched["n_kv"], 8 * 640);
  EXPECT_EQ(batched["t"], 10.0);
}

TEST(ForeignFormatTest, WhatAFileCannotHoldIsRefused) {
  for (const ForeignFormat format : {ForeignFormat::kLlamaBench, ForeignFormat::kAiperf}) {
    Json document = LoadDocument();
    if (format == ForeignFormat::kAiperf) document["kind"] = "benchmark";
    const auto files = WriteForeign(format, document, {});
    ASSERT_FALSE(files.has_value());
    EXPECT_EQ(files.error().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_FALSE(WriteForeign(ForeignFormat::kVllm, {{"kind", "benchmark"}, {"results", Json::array()}}, {})
                   .has_value());
}

}  // namespace
}  // namespace weir
