#include "perf/report/root_cause.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "perf/report/tokenizer_wait.h"

namespace weir {
namespace {

// A request of 1000 ms, of which 30 pass outside the server and 970 in these stages, decode taking what is left of them.
RequestRecord Served(double sent_ms, std::map<std::string, double> stages, double batch = 8) {
  RequestRecord record;
  record.intended_ms = record.sent_ms = sent_ms;
  record.done_ms = sent_ms + 1000;
  record.outcome = Outcome::kOk;
  record.output_tokens = 48;
  double known = 0;
  for (const auto& [stage, ms] : stages) known += ms;
  stages["decode"] = 970 - known;
  record.server = {
      {"ledger_ms", stages},
      {"batch_mean", batch},
      {"num_steps", 48},
      {"clock", {{"same_boot", true}, {"started_ms", sent_ms + 10}, {"closed_ms", sent_ms + 980}}}};
  return record;
}

RequestRecord TimedOut(RequestRecord record) {
  record.outcome = Outcome::kFailed;
  record.error = RecordError{"timeout", 0, "first_token", "timed out"};
  record.output_tokens = 0;
  return record;
}

LadderStep Step(std::vector<RequestRecord> records, const std::string& scheduler = "continuous",
                const std::string& queue = "bounded") {
  LadderStep step;
  step.file = "load.json";
  step.records = std::move(records);
  step.document = {
      {"server_version", {{"max_num_seqs", 8}, {"modes", {{"scheduler", scheduler}, {"queue", queue}}}}},
      {"results", {{{"concurrency", 8}, {"timeout_s", 1.0}, {"counts", {{"shed", 0}}}}}}};
  return step;
}

std::vector<RequestRecord> Ten(const RequestRecord& one) { return std::vector<RequestRecord>(10, one); }

std::vector<std::string> Causes(const LadderStep& step) {
  const Json root = NameRootCauses(step);
  EXPECT_TRUE(root["known"] == true);
  EXPECT_TRUE(root["why_unknown"].is_null());
  std::vector<std::string> names;
  for (const Json& cause : root["causes"]) names.push_back(cause["cause"].get<std::string>());
  return names;
}

using Names = std::vector<std::string>;

TEST(RootCauseTest, AHealthyServerHasNone) {
  EXPECT_EQ(Causes(Step(Ten(Served(0, {{"tokenize", 20}, {"queue_slot", 50}, {"handoff", 150}})))), Names{});
}

TEST(RootCauseTest, WaitingForAPlaceIsNamedByWhatTheServerWasTold) {
  const auto waiting = [](double batch) { return Ten(Served(0, {{"queue_slot", 600}}, batch)); };
  EXPECT_EQ(Causes(Step(waiting(1), "sequential", "unbounded")), Names{kBatchingOff});
  EXPECT_EQ(Causes(Step(waiting(1))), Names{kBatchingOff});  // --max-num-seqs 1
  EXPECT_EQ(Causes(Step(waiting(8), "continuous", "unbounded")), Names{kQueueUnbounded});
  EXPECT_EQ(Causes(Step(waiting(8))), Names{kFewPlaces});
}

TEST(RootCauseTest, ATimeoutIsTooShortWhenTheServerWasComputing) {
  std::vector<RequestRecord> records = Ten(Served(0, {}));
  for (size_t i = 0; i < 5; ++i) records[i] = TimedOut(records[i]);
  EXPECT_EQ(Causes(Step(records)), Names{kShortTimeout});
  // The server went on for another two seconds: that is no time of the client's.
  for (RequestRecord& record : records) record.server["ledger_ms"]["decode"] = 3000;
  EXPECT_EQ(Causes(Step(records)), Names{kShortTimeout});
}

TEST(RootCauseTest, LostRequestsComeBeforeDelayedOnes) {
  std::vector<RequestRecord> records = Ten(Served(0, {{"tokenize", 400}}));
  records[0] = TimedOut(Served(0, {{"queue_slot", 900}}));
  EXPECT_EQ(Causes(Step(records, "continuous", "unbounded")), (Names{kQueueUnbounded, kSlowTokenizer}));
}

TEST(RootCauseTest, TheTimeOutsideTheServerIsTheClients) {
  RequestRecord record = Served(0, {});
  record.server["clock"]["closed_ms"] = 500;
  record.server["ledger_ms"]["decode"] = 490;
  EXPECT_EQ(Causes(Step(Ten(record))), Names{kSlowClient});
}

TEST(RootCauseTest, StandingBeforeABusyTokenizerIsTheTokenizers) {
  // Four arrive together. The thread that reads them does one prompt after the other, 200 ms each.
  std::vector<RequestRecord> records;
  for (int i = 0; i < 4; ++i) {
    RequestRecord record = Served(0, {{"tokenize", 200}});
    record.server["clock"]["started_ms"] = 1 + 200 * i;
    record.server["clock"]["parsed_ms"] = 1 + 200 * i;
    record.server["clock"]["tokenized_ms"] = 1 + 200 * (i + 1);
    record.server["ledger_ms"]["decode"] = 760 - 200 * i;
    records.push_back(record);
  }
  const std::vector<double> waits = TokenizerWaits(records);
  EXPECT_EQ(waits, (std::vector<double>{0, 200, 400, 600}));
  EXPECT_EQ(Causes(Step(records)), Names{kSlowTokenizer});
  for (RequestRecord& record : records) record.server["clock"]["same_boot"] = false;
  EXPECT_EQ(TokenizerWaits(records), (std::vector<double>{0, 0, 0, 0}));
}

TEST(RootCauseTest, WithoutTheServersAccountOnlyTimeoutsHaveACause) {
  RequestRecord plain = Served(0, {});
  plain.server = nullptr;
  LadderStep step = Step(Ten(plain));
  const Json root = NameRootCauses(step);
  EXPECT_TRUE(root["known"] == false);
  EXPECT_TRUE(root["why_unknown"].is_string());
  EXPECT_TRUE(root["causes"].empty());
  // Who had no token yet was waiting; who had one was being computed.
  step.document["server_version"] = nullptr;
  for (RequestRecord& record : step.records) record = TimedOut(record);
  EXPECT_EQ(Causes(step), Names{kQueueUnbounded});
  for (RequestRecord& record : step.records) record.first_token_ms = 100;
  EXPECT_EQ(Causes(step), Names{kShortTimeout});
}

TEST(RootCauseTest, OtherFailuresAreNamedByTheirClass) {
  std::vector<RequestRecord> records = Ten(Served(0, {}));
  records[0].outcome = records[1].outcome = Outcome::kFailed;
  records[0].error = records[1].error = RecordError{"http_500", 500, "first_byte", "broken"};
  EXPECT_EQ(Causes(Step(records)), Names{"errors: http_500"});
}

TEST(RootCauseTest, NothingMeasuredIsNotKnown) {
  EXPECT_TRUE(NameRootCauses(Step({}))["known"] == false);
  RequestRecord instant = Served(0, {});
  instant.done_ms = instant.sent_ms;
  EXPECT_TRUE(NameRootCauses(Step({instant}))["known"] == false);
}

}  // namespace
}  // namespace weir
