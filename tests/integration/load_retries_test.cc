// What a load test reports when it tries refused requests again.
#include <set>
#include <string>

#include "tests/integration/load_fixture.h"

namespace weir {
namespace {

using LoadRetriesTest = LoadScriptedTest;

TEST_F(LoadRetriesTest, AShedRequestIsTriedAgainAndCountsFromItsFirstIntendedSend) {
  ScriptedServer server([](int n) {
    if (n >= 2) return StreamOf(1, 2, 1, 2, 2);
    AnswerScript script;
    script.status = n == 0 ? 429 : 503;
    script.headers = {{"retry-after-ms", "150"}};
    return script;
  });
  LoadSpec spec = Spec(server);
  spec.requests = 3;
  spec.max_tokens = 2;
  spec.retries = 2;
  spec.slo.ttft_ms = 200;
  const Json document = Run(spec);
  ASSERT_EQ(records_.size(), 5u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(records_[static_cast<size_t>(i)].seq, 0);
    EXPECT_EQ(records_[static_cast<size_t>(i)].attempt, i + 1);
    EXPECT_EQ(records_[static_cast<size_t>(i)].retried, i < 2);
  }
  EXPECT_EQ(records_[0].outcome, Outcome::kShed);
  EXPECT_EQ(records_[1].outcome, Outcome::kShed);
  EXPECT_EQ(records_[2].outcome, Outcome::kOk);
  EXPECT_GE(records_[2].sent_ms - records_[1].done_ms, 150);
  EXPECT_EQ(records_[2].intended_ms, records_[0].intended_ms);
  EXPECT_EQ(std::set<std::string>({records_[0].id, records_[1].id, records_[2].id}).size(), 3u);
  EXPECT_EQ(server.bodies()[0], server.bodies()[2]);  // the same request
  const Json& row = document["results"][0];
  EXPECT_EQ(row["counts"]["sent"], 3);
  EXPECT_EQ(row["counts"]["ok"], 3);
  EXPECT_EQ(row["counts"]["shed"], 0);
  EXPECT_EQ(document["parameters"]["retries"], 2);
  EXPECT_EQ(row["retries"]["attempts"], 5);
  EXPECT_EQ(row["retries"]["requests_tried_again"], 1);
  EXPECT_EQ(row["retries"]["ok_after_retry"], 1);
  EXPECT_EQ(row["retries"]["retried_shed"], 2);
  EXPECT_GE(row["ttft_from_intended_ms"]["max"].get<double>(), 300);
  EXPECT_LT(row["ttft_ms"]["max"].get<double>(), 150);
  EXPECT_NEAR(row["goodput"]["ratio"].get<double>(), 2.0 / 3, 1e-9);  // the pauses count
  EXPECT_LT(row["client"]["schedule_lag_ms"]["max"].get<double>(),
            100);  // but are none of the client's doing
  EXPECT_EQ(VerdictOf(document, "V-19"), Verdict::kWarn);
  EXPECT_EQ(VerdictOf(document, "V-20"), Verdict::kValid);
}

TEST_F(LoadRetriesTest, AttemptsAreBoundedAndOtherFailuresAreNotRepeated) {
  ScriptedServer server([](int n) {
    AnswerScript script;
    script.status = n < 3 ? 429 : 500;
    if (n < 3) script.headers = {{"retry-after-ms", "20"}};
    return script;
  });
  LoadSpec spec = Spec(server);
  spec.requests = 2;
  spec.retries = 2;
  spec.on_shed = OnShed::kNext;
  const Json document = Run(spec);
  const Json& row = document["results"][0];
  EXPECT_EQ(row["counts"]["shed"], 1);
  EXPECT_EQ(row["counts"]["failed"], 1);
  EXPECT_EQ(row["retries"]["attempts"], 4);
  ASSERT_EQ(records_.size(), 4u);
  EXPECT_FALSE(records_[2].retried);
  EXPECT_EQ(records_[3].attempt, 1);
}

TEST_F(LoadRetriesTest, AnOpenLoopWithRetriesKeepsItsCapAndLosesNoRequest) {
  ScriptedServer server([](int n) {
    if (n % 2 == 1) return StreamOf(1, 20, 1, 2, 2);
    AnswerScript script;
    script.status = 429;
    script.headers = {{"retry-after-ms", "30"}};
    return script;
  });
  LoadSpec spec = Spec(server);
  spec.requests = 20;
  spec.max_tokens = 2;
  spec.request_rate = 100;
  spec.max_in_flight = 2;
  spec.retries = 50;
  const Json document = Run(spec);
  const Json& row = document["results"][0];
  EXPECT_EQ(row["counts"]["sent"], 20);
  EXPECT_EQ(row["counts"]["ok"], 20);
  EXPECT_LE(server.most_in_flight(), 2);
  EXPECT_EQ(row["retries"]["attempts"], records_.size());
  EXPECT_EQ(VerdictOf(document, "V-20"), Verdict::kValid);
}

}  // namespace
}  // namespace weir
