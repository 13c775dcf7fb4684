#include <gtest/gtest.h>

#include "perf/statistics/bench_row.h"
#include "perf/statistics/distribution.h"
#include "perf/statistics/load_row.h"
#include "perf/statistics/matrix_row.h"
#include "perf/statistics/physical_limit.h"
#include "perf/statistics/request_metrics.h"
#include "perf/statistics/window.h"

namespace weir {
namespace {

// First token after `ttft`, then one every `gap`; ends with its last token.
RequestRecord Streamed(double sent, double ttft, double gap, int n) {
  RequestRecord record;
  record.intended_ms = record.sent_ms = sent;
  record.max_tokens = record.output_tokens = n;
  for (int i = 0; i < n; ++i) {
    record.token_times_ms.push_back(sent + ttft + gap * i);
    record.chunk_sizes.push_back(1);
  }
  record.first_token_ms = record.token_times_ms.front();
  record.last_token_ms = record.done_ms = record.token_times_ms.back();
  record.outcome = Outcome::kOk;
  return record;
}

RequestRecord Failed(double sent, double elapsed) {
  RequestRecord record;
  record.intended_ms = record.sent_ms = sent;
  record.done_ms = sent + elapsed;
  record.outcome = Outcome::kFailed;
  record.error = RecordError{"timeout", 0, "first_token", "timed out"};
  return record;
}

TEST(RequestMetricsTest, WorkedExampleOfTheMeasurementDocument) {
  const RequestRecord record = Streamed(0, 2000, 10, 128);
  EXPECT_DOUBLE_EQ(*TimePerOutputToken(record), 10.00);
  EXPECT_NEAR(*TimePerOutputTokenWithFirst(record), 25.55, 0.005);
  EXPECT_DOUBLE_EQ(*TimeToFirstToken(record), 2000);
  EXPECT_DOUBLE_EQ(*LatencyToLastToken(record), 3270);
  EXPECT_DOUBLE_EQ(*TimePerOutputToken(record), (*LatencyToLastToken(record) - 2000) / 127);
}

TEST(RequestMetricsTest, AChunkIsNotAToken) {
  // A role-only chunk is no content; then three tokens every 30 ms.
  RequestRecord record;
  record.output_tokens = 9;
  record.chunk_sizes = {3, 3, 3};
  record.token_times_ms = {40, 40, 40, 70, 70, 70, 100, 100, 100};
  record.first_token_ms = 40;
  record.last_token_ms = 100;
  std::vector<double> itl, icl;
  AppendTokenGaps(record, &itl);
  AppendChunkGaps(record, &icl);
  EXPECT_EQ(itl, std::vector<double>(6, 10.0));
  EXPECT_EQ(icl, std::vector<double>(2, 30.0));
  EXPECT_EQ(*LargestGap(record), 30);
}

TEST(RequestMetricsTest, AbsentTimelinesGiveNoNumbers) {
  RequestRecord whole;  // not streamed
  whole.output_tokens = 5;
  whole.done_ms = 100;
  EXPECT_FALSE(TimeToFirstToken(whole).has_value());
  EXPECT_FALSE(TimePerOutputToken(whole).has_value());
  EXPECT_FALSE(LargestGap(whole).has_value());
  EXPECT_FALSE(TimePerOutputToken(Streamed(0, 10, 10, 1)).has_value());
  EXPECT_FALSE(ServerQueue(whole).has_value());
}

TEST(RequestMetricsTest, FailuresCountAtLeastTheirTimeout) {
  EXPECT_DOUBLE_EQ(LatencyWithTimeout(Failed(0, 100), 5000), 5000);
  EXPECT_DOUBLE_EQ(LatencyWithTimeout(Failed(0, 6000), 5000), 6000);
  EXPECT_DOUBLE_EQ(LatencyWithTimeout(Streamed(0, 10, 10, 3), 5000), 30);
}

TEST(RequestMetricsTest, ServerQueueSumsTheQueueStages) {
  RequestRecord record;
  record.server = {{"ledger_ms", {{"queue_slot", 10.0}, {"queue_kv", 2.5}, {"decode", 100.0}}}};
  EXPECT_DOUBLE_EQ(*ServerQueue(record), 12.5);
}

TEST(WindowTest, ClosedLoopIsSteadyFromFullToNotFullAgain) {
  // Two workers: [0, 100] and [50, 300]; then [100, 200]; alone from 200 on.
  std::vector<RequestRecord> records = {Streamed(0, 50, 50, 2), Streamed(50, 50, 50, 5),
                                        Streamed(100, 50, 50, 2)};
  const auto window = SteadyWindowClosed(records, 2);
  ASSERT_TRUE(window.has_value());
  EXPECT_EQ(window->start_ms, 50);
  EXPECT_EQ(window->end_ms, 200);
  // Tokens at 50 are not inside (start is exclusive): 100 | 100 150 200 | 150 200.
  EXPECT_EQ(TokensInside(records, *window), 6);
  EXPECT_FALSE(SteadyWindowClosed(records, 3).has_value());
}

TEST(WindowTest, OpenLoopSkipsTheStartAndTheDrain) {
  std::vector<RequestRecord> records;
  for (int i = 0; i <= 100; ++i) records.push_back(Streamed(i * 100.0, 50, 50, 4));  // 200 ms each, 10 s
  const auto window = SteadyWindowOpen(records);
  ASSERT_TRUE(window.has_value());
  EXPECT_EQ(window->start_ms, 1000);  // a tenth of the duration is more than twice the median latency
  EXPECT_EQ(window->end_ms, 10000);
}

TEST(WindowTest, LittleAgreesWithTrueStampsAndObjectsToFalseOnes) {
  std::vector<RequestRecord> records;
  std::vector<InFlightSample> samples;
  for (int i = 0; i < 10; ++i) {
    records.push_back(Streamed(i * 100.0, 50, 50, 2));
    samples.push_back({i * 100.0, 1});
  }
  samples.push_back({1000, 0});
  const Window window{0, 1000};
  EXPECT_NEAR(CheckLittle(records, window, samples)->error_ratio, 0, 1e-9);
  for (RequestRecord& record : records) record.done_ms -= 20;  // stamps that lose a fifth of the time
  EXPECT_NEAR(CheckLittle(records, window, samples)->error_ratio, 0.2, 1e-9);
}

LoadRowInput RowInput(const std::vector<RequestRecord>& records) {
  LoadRowInput input;
  input.records = records;
  input.concurrency = 1;
  input.timeout_s = 1;
  input.num_sent = static_cast<int64_t>(records.size());
  return input;
}

TEST(LoadRowTest, FailuresEnterRatiosAndNoThroughput) {
  std::vector<RequestRecord> records = {Streamed(0, 100, 100, 10), Failed(1000, 1000),
                                        Streamed(2000, 100, 100, 10)};
  records[1].output_tokens = 4;
  RequestRecord shed;
  shed.sent_ms = shed.intended_ms = 3000;
  shed.done_ms = 3005;
  shed.outcome = Outcome::kShed;
  shed.error = RecordError{"http_429", 429, "first_byte", "busy"};
  records.push_back(shed);
  const Json row = LoadRow(RowInput(records));
  EXPECT_DOUBLE_EQ(row["success_ratio"], 0.5);
  EXPECT_NEAR(row["success_admitted_ratio"].get<double>(), 2.0 / 3, 1e-12);
  EXPECT_DOUBLE_EQ(row["shed_ratio"], 0.25);
  EXPECT_EQ(row["output_tokens"], 20);
  EXPECT_EQ(row["output_tokens_failed"], 4);
  EXPECT_NEAR(row["output_tps"].get<double>(), 20 / 3.005, 1e-9);
  EXPECT_EQ(row["e2el_ms"]["count"], 2);
  EXPECT_EQ(row["e2el_with_failed_ms"]["count"], 3);
  EXPECT_EQ(row["e2el_with_failed_ms"]["max"], 1000);
  EXPECT_EQ(row["shed_response_ms"]["p50"], 5);
  ASSERT_EQ(row["errors"].size(), 2u);
  EXPECT_TRUE(row["goodput"].is_null());
  EXPECT_TRUE(row["queue_ms"].is_null());
}

TEST(LoadRowTest, GoodputNeedsEveryBound) {
  std::vector<RequestRecord> records = {Streamed(0, 100, 10, 11), Streamed(1000, 500, 10, 11),
                                        Streamed(2000, 100, 60, 11)};
  LoadRowInput input = RowInput(records);
  input.slo.ttft_ms = 200;
  input.slo.tpot_ms = 50;
  const Json row = LoadRow(input);
  EXPECT_NEAR(row["goodput"]["ratio"].get<double>(), 1.0 / 3, 1e-12);
  EXPECT_NEAR(row["goodput"]["requests_per_s"].get<double>(), 1 / 2.7, 1e-9);
}

TEST(LoadRowTest, RequestsWithoutOutcomeVoidTheRun) {
  const std::vector<RequestRecord> records = {Streamed(0, 100, 10, 11)};
  LoadRowInput input = RowInput(records);
  input.num_sent = 2;
  Validity validity;
  CheckLoadRow(input, LoadRow(input), &validity);
  EXPECT_EQ(validity.verdict(), Verdict::kInvalid);
  EXPECT_NE(Validity::Line(validity.ToJson()).find("V-20"), std::string::npos);
  EXPECT_EQ(validity.VoidPointers(1)[0], "/results");
}

TEST(LoadRowTest, ManyTokensPerChunkVoidTheGaps) {
  RequestRecord record = Streamed(0, 100, 10, 11);
  record.chunk_sizes = {5, 6};
  const std::vector<RequestRecord> records = {record};
  Validity validity;
  const LoadRowInput input = RowInput(records);
  CheckLoadRow(input, LoadRow(input), &validity);
  EXPECT_EQ(validity.verdict(), Verdict::kWarn);
  EXPECT_NE(DumpJson(validity.VoidPointers(1)).find("/results/0/itl_ms"), std::string::npos);
}

// The published study's case: 15 prompts, batch 8, a fixed step of 30 ms, 100 steps.
BenchRun StaticRun(bool fill) {
  BenchRun run;
  for (int i = 0; i < 15; ++i) run.measured.push_back(Streamed(i < 8 ? 0 : 3000, 30, 30, 100));
  if (fill) run.fillers.push_back(Streamed(3000, 30, 30, 100));
  run.batch_seconds = 6.0;
  return run;
}

TEST(BenchRowTest, AFullLastGroupIsCountedAsOne) {
  EXPECT_NEAR(*HeadlineOutputTps(StaticRun(true), true), 266.7, 0.05);
  EXPECT_NEAR(*WholeOutputTps(StaticRun(false)), 250.0, 0.05);
}

TEST(BenchRowTest, CutOffFillersCountInTheSteadyWindow) {
  BenchRun run;
  run.measured.push_back(Streamed(0, 100, 100, 10));
  run.fillers.push_back(Streamed(0, 100, 100, 10));
  run.fillers[0].outcome = Outcome::kCancelled;
  run.steady = Window{0, 1000};
  EXPECT_DOUBLE_EQ(*HeadlineOutputTps(run, false), 20);
  EXPECT_DOUBLE_EQ(*WholeOutputTps(run), 10);
}

TEST(BenchRowTest, RowCarriesRepeatsStepsAndLimit) {
  std::vector<BenchRun> runs(3);
  for (BenchRun& run : runs) {
    run.measured.push_back(Streamed(0, 100, 100, 10));
    run.steady = Window{0, 1000};
    run.cpu_s = 1;
    run.wall_s = 1;
    run.steps.push_back({0, 100, 50, 0, 1, 1, 0, 1, 95, 2, 1});
    for (int i = 1; i < 10; ++i)
      run.steps.push_back({100.0 * i, 100.0 * i + 100, 0, 1, 1, 1, 55, 1, 95, 2, 1});
  }
  BenchRowInput input;
  input.runs = runs;
  input.threads = 2;
  input.limit = {1e9, 4e7, 1000, {{1e8, 1e7, 1e11}}};
  const Json row = BenchRow(input);
  EXPECT_DOUBLE_EQ(row["output_tps_steady"], 10);
  EXPECT_EQ(row["runs"].size(), 3u);
  EXPECT_DOUBLE_EQ(row["step"]["decode_ms"], 100);
  EXPECT_DOUBLE_EQ(row["step"]["prefill_ms"], 100);
  EXPECT_TRUE(row["step"]["mixed_ms"].is_null());
  EXPECT_DOUBLE_EQ(row["step"]["segments_ms"]["forward"], 95);
  EXPECT_DOUBLE_EQ(row["step"]["segments_ms"]["other"], 1);
  EXPECT_DOUBLE_EQ(row["utilization"]["cpu_ratio"], 0.5);
  EXPECT_EQ(row["limit"]["bound"], "bandwidth");
  EXPECT_NEAR(row["limit"]["output_tps"].get<double>(), 1e9 / (4e7 + 55 * 1000), 1e-6);
  EXPECT_NEAR(row["limit"]["share_ratio"].get<double>(), 10 * (4e7 + 55 * 1000) / 1e9, 1e-9);
}

TEST(MatrixRowTest, CarriesMediansRangesWorkAndShares) {
  using std::chrono::milliseconds;
  const MatrixSample samples[] = {{{}, milliseconds(100), milliseconds(400)},
                                  {{}, milliseconds(90), milliseconds(800)},
                                  {{}, milliseconds(120), milliseconds(500)}};
  LimitInput limit{1e9, 4e6, 1000, {{1e6, 1e5, 1e9}}};
  limit.attention_macs_per_context_token = 100;
  limit.int8_mac_per_s = 1e9;
  const Json row = MatrixRow({128, 50, 2, samples, nullptr}, limit);
  EXPECT_DOUBLE_EQ(row["speed_pp_tps"], 2560);
  EXPECT_DOUBLE_EQ(row["speed_tg_tps"], 200);
  EXPECT_DOUBLE_EQ(row["speed_tg_tps_range"][0], 125);
  EXPECT_DOUBLE_EQ(row["speed_tg_tps_range"][1], 250);
  EXPECT_NEAR(row["mac_pp_per_s"].get<double>(), 2560 * (9e5 + 100 * 64), 1);
  EXPECT_NEAR(row["mac_tg_per_s"].get<double>(), 200 * (1e6 + 100 * 153), 1);
  EXPECT_NEAR(row["share_int8_tg_ratio"].get<double>(), 200 * (1e6 + 100 * 153) / 1e9, 1e-12);
  EXPECT_NEAR(row["read_tg_bytes_per_s"].get<double>(), 100 * (4e6 + 2 * 153 * 1000), 1);
  EXPECT_NEAR(row["share_tg_ratio"].get<double>(), 200 / (2 * 1e9 / (4e6 + 2 * 153 * 1000)), 1e-12);
  EXPECT_EQ(row["bound_tg"], "bandwidth");
  EXPECT_NEAR(row["share_int8_pp_ratio"].get<double>(), 2560 * (9e5 + 100 * 64) / 1e9, 1e-12);
  EXPECT_TRUE(row["share_tile_pp_ratio"].is_null());
}

TEST(MatrixRowTest, PromptsOnTilesAreHeldAgainstTheTiles) {
  const MatrixSample samples[] = {{{}, std::chrono::milliseconds(100), std::chrono::milliseconds(400)}};
  LimitInput limit{1e9, 4e6, 1000, {{1e6, 1e5, 1e9, 4e9}}};
  limit.int8_mac_per_s = 1e9;
  limit.tile_mac_per_s = 4e9;
  const Json row = MatrixRow({128, 50, 2, samples, nullptr}, limit);
  EXPECT_NEAR(row["limit_pp_tps"].get<double>(), 4e9 / 9e5, 1e-6);
  EXPECT_NEAR(row["share_pp_ratio"].get<double>(), 2560 * 9e5 / 4e9, 1e-12);
  EXPECT_NEAR(row["share_tile_pp_ratio"].get<double>(), 2560 * 9e5 / 4e9, 1e-12);
  EXPECT_TRUE(row["share_int8_pp_ratio"].is_null());
  EXPECT_NEAR(row["share_int8_tg_ratio"].get<double>(), 250 * 1e6 / 1e9, 1e-12);
}

TEST(MatrixRowTest, LimitsThatMovedVoidTheSharesOnly) {
  Validity validity;
  validity.AddAbove("V-14", "limit", 0.12, 0.10, 0.10, "moved");
  const Json pointers = validity.VoidPointers(0, 1);
  EXPECT_EQ(pointers, Json::array({"/matrix/0/share_pp_ratio", "/matrix/0/share_tg_ratio",
                                   "/matrix/0/share_int8_pp_ratio", "/matrix/0/share_tile_pp_ratio",
                                   "/matrix/0/share_int8_tg_ratio"}));
}

TEST(PhysicalLimitTest, ReproducesTheReferenceStudysTable) {
  // T4: 320 GB/s nominal, 6.43 GB of weights, KV 112 KiB per token; computing left out by a very high peak.
  const LimitInput t4{320e9, 6.43e9, 112.0 * 1024, {{3.21e9, 0, 1e18}}};
  EXPECT_NEAR(DecodeLimit(t4, 1, 0)->tokens_per_s, 49.8, 0.05);
  EXPECT_NEAR(DecodeLimit(t4, 8, 0)->tokens_per_s, 398, 0.5);
  EXPECT_NEAR(DecodeLimit(t4, 8, 500)->tokens_per_s, 371, 1);
  EXPECT_NEAR(DecodeLimit(t4, 32, 500)->tokens_per_s, 1240, 5);
}

TEST(PhysicalLimitTest, ComputeBindsLargeBatchesAndPrefill) {
  const LimitInput machine{30e9, 100e6, 23040, {{106e6, 0, 100e9}, {28e6, 28e6, 100e9}}};
  EXPECT_EQ(DecodeLimit(machine, 1, 0)->bound, "bandwidth");
  EXPECT_EQ(DecodeLimit(machine, 32, 0)->bound, "compute");
  EXPECT_NEAR(DecodeLimit(machine, 32, 0)->tokens_per_s, 100e9 / 134e6, 1e-6);
  EXPECT_NEAR(PrefillLimit(machine)->tokens_per_s, 100e9 / 106e6, 1e-6);
}

TEST(PhysicalLimitTest, AStepIsReadAtTheRateOfItsOwnSize) {
  LimitInput machine{50e9, 100e6, 23040, {{106e6, 0, 1e15}}};
  machine.read_rates = {{100'000'000, 50e9}, {400'000'000, 26e9}};
  EXPECT_NEAR(DecodeLimit(machine, 1, 0)->tokens_per_s, 50e9 / 100e6, 1e-6);
  EXPECT_NEAR(ReadRate(machine, 200e6), 38e9, 1);  // half way: sizes are compared by their ratio
  EXPECT_EQ(ReadRate(machine, 10e6), 50e9);
  EXPECT_EQ(ReadRate(machine, 4e9), 26e9);
  const double bytes = 100e6 + 8 * 2048 * 23040.0;
  EXPECT_NEAR(DecodeLimit(machine, 8, 2048)->tokens_per_s, 8 * 26e9 / bytes, 1e-6);
}

TEST(PhysicalLimitTest, UnknownRoofsGiveNoLimit) {
  EXPECT_FALSE(DecodeLimit({0, 1e8, 0, {{1e8, 0, 1e11}}}, 1, 0).has_value());
  EXPECT_FALSE(DecodeLimit({3e10, 1e8, 0, {{1e8, 0, 0}}}, 1, 0).has_value());
  EXPECT_FALSE(PrefillLimit({3e10, 1e8, 0, {}}).has_value());
}

}  // namespace
}  // namespace weir
