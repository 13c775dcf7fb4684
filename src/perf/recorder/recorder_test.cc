#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/sha256.h"
#include "perf/recorder/environment.h"
#include "perf/recorder/record_file.h"
#include "perf/recorder/run_index.h"

namespace weir {
namespace {

class RecorderTest : public testing::Test {
 protected:
  RecorderTest() {
    folder_ = std::filesystem::temp_directory_path() /
              fmt::format("weir-recorder-{}-{}", getpid(),
                          testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  ~RecorderTest() override { std::filesystem::remove_all(folder_); }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

  std::filesystem::path folder_;
};

RequestRecord Record() {
  RequestRecord record;
  record.id = "run-7";
  record.seq = 7;
  record.prompt_id = "builtin-3-1";
  record.prompt_tokens = 41;
  record.max_tokens = 100;
  record.output_tokens = 3;
  record.intended_ms = 1000.1234;
  record.sent_ms = 1000.5;
  record.first_byte_ms = 1010;
  record.first_token_ms = 1020.25;
  record.token_times_ms = {1020.25, 1030, 1030};
  record.chunk_sizes = {1, 2};
  record.last_token_ms = 1030;
  record.done_ms = 1031;
  record.outcome = Outcome::kFailed;
  record.error = RecordError{"http_500", 500, "first_byte", "it broke"};
  record.retry_after_s = 1.5;
  record.finish_reason = "length";
  record.slo_met = false;
  record.server = {{"ledger_ms", {{"decode", 5.5}}}};
  return record;
}

TEST_F(RecorderTest, RecordSurvivesTheRoundTrip) {
  const Result<Json> parsed = ParseJson(DumpJson(ToJson(Record())));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ((*parsed)["intended_ms"].get<double>(), 1000.123);
  const Result<RequestRecord> record = RequestRecordFromJson(*parsed);
  ASSERT_TRUE(record.has_value()) << record.error().message();
  EXPECT_EQ(record->id, "run-7");
  EXPECT_EQ(record->outcome, Outcome::kFailed);
  ASSERT_TRUE(record->error.has_value());
  EXPECT_EQ(record->error->error_class, "http_500");
  EXPECT_EQ(record->error->http_status, 500);
  EXPECT_EQ(record->token_times_ms, (std::vector<double>{1020.25, 1030, 1030}));
  EXPECT_EQ(record->chunk_sizes, (std::vector<int>{1, 2}));
  EXPECT_EQ(record->retry_after_s, 1.5);
  EXPECT_EQ(record->slo_met, false);
  EXPECT_FALSE(record->output_tokens_local.has_value());
  EXPECT_FALSE(record->connect_ms.has_value());
  EXPECT_EQ(DumpJson(ToJson(*record)), DumpJson(*parsed));
}

TEST_F(RecorderTest, RefusesRecordsWithoutOutcomeOrTimes) {
  EXPECT_EQ(RequestRecordFromJson(Json::object()).error().code(), StatusCode::kDataLoss);
  Json json = ToJson(Record());
  json["done_ms"] = nullptr;
  const Result<RequestRecord> record = RequestRecordFromJson(json);
  ASSERT_FALSE(record.has_value());
  EXPECT_NE(record.error().message().find("done_ms"), std::string::npos);
}

TEST_F(RecorderTest, RecordFileIsReadableBeforeTheRunEndsAndWholeAfter) {
  const std::string path = Path("load.requests.jsonl");
  std::ofstream(path) << "old run\n";
  Result<RecordFile> file = RecordFile::Open(path);
  ASSERT_TRUE(file.has_value()) << file.error().message();
  RequestRecord record = Record();
  file->Append(record);
  EXPECT_EQ(*ReadFile(path + ".part"), DumpJson(ToJson(record)) + "\n");
  EXPECT_EQ(*ReadFile(path), "old run\n");  // the last good run stays until this one is complete
  record.server = {{"num_steps", 9}};
  const Result<Json> named = file->Finish(std::vector<RequestRecord>{record});
  ASSERT_TRUE(named.has_value());
  EXPECT_EQ((*named)["name"], "load.requests.jsonl");
  EXPECT_EQ((*named)["sha256"], *Sha256File(path));
  EXPECT_EQ(*ReadFile(path), DumpJson(ToJson(record)) + "\n");
  EXPECT_FALSE(std::filesystem::exists(path + ".part"));
}

TEST_F(RecorderTest, RecordFileNamesAPlaceThatCannotBeWritten) {
  const Result<RecordFile> file = RecordFile::Open(Path("no/such/folder/x.jsonl"));
  ASSERT_FALSE(file.has_value());
  EXPECT_NE(file.error().message().find("no/such/folder"), std::string::npos);
}

TEST_F(RecorderTest, EnvironmentSaysNullForWhatItCouldNotRead) {
  const Environment environment = CaptureEnvironment("avx2", 2);
  EXPECT_GT(environment.logical_cores, 0);
  EXPECT_GT(environment.memory_bytes, int64_t{1} << 28);
  Json json = ToJson(environment);
  EXPECT_EQ(json["isa"], "avx2");
  EXPECT_TRUE(json["limits"].is_null());
  Environment empty;
  empty.probed_before = MachineLimits{3e10, 1e11, 0, 5e10, 0, {{100, 3e10}, {400, 2e10}}};
  json = ToJson(empty);
  EXPECT_TRUE(json["cpu_model"].is_null());
  EXPECT_TRUE(json["threads"].is_null());
  EXPECT_EQ(json["limits"]["read_bandwidth_bytes_per_s"], 3e10);
  EXPECT_TRUE(json["limits"]["bf16_mac_per_s"].is_null());
  EXPECT_TRUE(json["limits"]["probed_after"].is_null());
  EXPECT_EQ(json["limits"]["read_rates"][1], (Json{{"bytes", 400}, {"bytes_per_s", 2e10}}));
  empty.probed_after = MachineLimits{2e10, 2e11, 0, 5e10, 0, {{100, 2e10}, {400, 2.5e10}}};
  const Json better = ToJson(empty)["limits"];
  EXPECT_EQ(better["read_bandwidth_bytes_per_s"], 3e10);
  EXPECT_EQ(better["int8_mac_per_s"], 2e11);
  EXPECT_EQ(better["read_rates"][0]["bytes_per_s"], 3e10);
  EXPECT_EQ(better["read_rates"][1]["bytes_per_s"], 2.5e10);
}

TEST_F(RecorderTest, DocumentCarriesSchemaToolAndSortableRunId) {
  const Json document = NewDocument("benchmark", {"weir", "bench"});
  EXPECT_EQ(document["schema_version"], "1.0");
  EXPECT_EQ(document["kind"], "benchmark");
  EXPECT_EQ(document["tool"]["name"], "weir");
  EXPECT_EQ(document["command"].size(), 2u);
  EXPECT_NE(document["run_id"], NewRunId());
  EXPECT_EQ(document["run_id"].get<std::string>().size(), 23u);
}

TEST_F(RecorderTest, RunIndexListsNewestFirstAndKeepsRunsApart) {
  const RunIndex index(Path("state/runs.db"));
  ASSERT_TRUE(index.Add({"a", "benchmark", "2026-01-01T00:00:00Z", "/x/a.json", "VALID"}).ok());
  ASSERT_TRUE(index.Add({"b", "load_test", "2026-01-02T00:00:00Z", "/x/b's.json", "WARN"}).ok());
  ASSERT_TRUE(index.Add({"a", "benchmark", "2026-01-01T00:00:00Z", "/x/a.json", "INVALID"}).ok());
  const Result<std::vector<RunEntry>> runs = index.List();
  ASSERT_TRUE(runs.has_value()) << runs.error().message();
  ASSERT_EQ(runs->size(), 2u);
  EXPECT_EQ((*runs)[0].file, "/x/b's.json");
  EXPECT_EQ((*runs)[1].verdict, "INVALID");
}

TEST_F(RecorderTest, RunIndexFindsByTheBeginningOfAnIdAndForgets) {
  const RunIndex index(Path("runs.db"));
  ASSERT_TRUE(index.Add({"20260101T000000Z-aa", "benchmark", "2026-01-01T00:00:00Z", "/a", "VALID"}).ok());
  ASSERT_TRUE(index.Add({"20260102T000000Z-b'b", "load_test", "2026-01-02T00:00:00Z", "/b", "WARN"}).ok());
  EXPECT_EQ(index.Find("20260101")->size(), 1u);
  EXPECT_EQ(index.Find("2026")->size(), 2u);
  EXPECT_EQ(index.Find("latest")->front().file, "/b");
  // Neither an empty text nor a pattern of SQL finds anything.
  for (const char* nothing : {"", "%", "2026_", "x' OR '1'='1"}) EXPECT_TRUE(index.Find(nothing)->empty());
  EXPECT_TRUE(*index.Remove("20260102T000000Z-b'b"));
  EXPECT_FALSE(*index.Remove("20260102T000000Z-b'b"));
  EXPECT_FALSE(*index.Remove("2026"));
  EXPECT_EQ(index.List()->size(), 1u);
}

TEST_F(RecorderTest, RunIndexReportsAFileThatIsNoDatabase) {
  std::ofstream(Path("runs.db")) << "this is not a database, but it is long enough to be looked at as one...";
  const Status status = RunIndex(Path("runs.db")).Add({"a", "b", "c", "d", "e"});
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("runs.db"), std::string::npos);
}

}  // namespace
}  // namespace weir
