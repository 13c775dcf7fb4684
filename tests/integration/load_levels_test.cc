// Datasets, stages, sweeps and searches against a server whose every delay is known, and how exactly it is measured.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/integration/load_fixture.h"

namespace weir {
namespace {

class LoadLevelsTest : public LoadScriptedTest {};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[(values.size() - 1) / 2];
}

// Within 1 % or 1 ms of what the server really did, which on a busy machine is later than its script.
void ExpectClose(const Json& measured, double truth, const char* what) {
  ASSERT_TRUE(measured.is_number()) << what;
  EXPECT_NEAR(measured.get<double>(), truth, std::max(1.0, 0.01 * truth)) << what;
}

TEST_F(LoadLevelsTest, EveryMetricIsWithinAMillisecondOfWhatTheServerDid) {
  ScriptedServer server([](int) { return StreamOf(10, 100, 20, 10, 10); });
  LoadSpec spec = Spec(server);
  spec.requests = 21;
  spec.concurrency = 3;
  spec.max_tokens = 10;
  const Json document = Run(spec);
  const Json& row = document["results"][0];
  std::vector<double> ttft, e2el, tpot, gaps, largest;
  double first = 1e300, last = 0;
  for (const ScriptedServer::Played& one : server.played()) {
    ASSERT_EQ(one.written.size(), 12u);  // role, ten chunks, usage
    const auto ms = [&](TimePoint at) { return ToMilliseconds(at - one.read); };
    ttft.push_back(ms(one.written[1]));
    e2el.push_back(ms(one.ended));
    tpot.push_back((ms(one.written[10]) - ms(one.written[1])) / 9);
    largest.push_back(0);
    for (size_t i = 2; i <= 10; ++i) {
      gaps.push_back(ms(one.written[i]) - ms(one.written[i - 1]));
      largest.back() = std::max(largest.back(), gaps.back());
    }
    first = std::min(first, ToMilliseconds(one.read.time_since_epoch()));
    last = std::max(last, ToMilliseconds(one.ended.time_since_epoch()));
  }
  ExpectClose(row["ttft_ms"]["p50"], Median(ttft), "TTFT-1");
  ExpectClose(row["e2el_ms"]["p50"], Median(e2el), "E2EL-1");
  ExpectClose(row["tpot_ms"]["p50"], Median(tpot), "TPOT-1");
  ExpectClose(row["itl_ms"]["p50"], Median(gaps), "ITL-1");
  ExpectClose(row["icl_ms"]["p50"], Median(gaps), "ICL-1");
  ExpectClose(row["itl_max_ms"]["p50"], Median(largest), "ITL-3");
  const double wall_s = (last - first) / 1000;
  EXPECT_NEAR(row["wall_s"].get<double>(), wall_s, 0.01 * wall_s);
  EXPECT_NEAR(row["output_tps"].get<double>(), 210 / wall_s, 0.01 * 210 / wall_s);
  EXPECT_NEAR(row["requests_per_s"].get<double>(), 21 / wall_s, 0.01 * 21 / wall_s);
}

TEST_F(LoadLevelsTest, AStallOfTheServerShowsInTheTailOfAnOpenLoop) {
  // 100 requests/s; the server stands still from 1 s to 3 s after the first, and answers all it has then.
  ScriptedServer server([](int n) {
    const double arrival = 10.0 * n, answer = arrival >= 1000 && arrival < 3000 ? 3000 - arrival : 1;
    return StreamOf(answer, answer, 0, 1, 1);
  });
  LoadSpec spec = Spec(server);
  spec.requests = 400;
  spec.max_tokens = 1;
  spec.request_rate = 100;
  spec.arrival = ArrivalProcess::kConstant;
  const Json document = Run(spec);
  const Json& latency = document["results"][0]["e2el_from_intended_ms"];
  EXPECT_GE(latency["p99"].get<double>(), 1900);
  // Half of the requests fell into the stall, and all of them are counted from when they were due.
  EXPECT_GE(latency["p90"].get<double>(), 1500);
  EXPECT_NEAR(latency["mean"].get<double>(), 503, 60);
  EXPECT_EQ(latency["count"], 400);
}

TEST_F(LoadLevelsTest, RandomPromptsAreJudgedByTheirLength) {
  const auto run = [&](int drift) {
    ScriptedServer server([drift](int n) {
      AnswerScript script = StreamOf(1, 2, 1, 2, 2);
      script.pieces.back().bytes = FinishChunk("length") + UsageChunk(48 + 7 + (n % 10 == 9 ? drift : 0), 2);
      return script;
    });
    LoadSpec spec = Spec(server);
    spec.dataset = *ParseDataset("random:in=48,out=2");
    spec.requests = 30;
    const Json document = Run(spec);
    for (const std::string& body : server.bodies()) {
      const Json json = *ParseJson(body);
      EXPECT_EQ(CountScriptedTokens(json["messages"][0]["content"].get<std::string>()), 48);
      EXPECT_EQ(json["max_tokens"], 2);
    }
    for (const RequestRecord& record : records_) EXPECT_EQ(record.prompt_tokens_target, 48);
    EXPECT_EQ(document["dataset"]["name"], "random:in=48,out=2");
    return VerdictOf(document, "V-09");
  };
  EXPECT_EQ(run(0), Verdict::kValid);
  EXPECT_EQ(run(1), Verdict::kInvalid);  // a tenth of them differ
}

TEST_F(LoadLevelsTest, ATraceIsReplayedAtItsTimes) {
  const std::string path = (folder_ / "trace.jsonl").string();
  std::string lines;
  const std::vector<double> times = {0, 40, 40, 250, 300};
  for (const double at : times)
    lines += fmt::format("{{\"at_ms\":{},\"prompt\":\"at {}\",\"max_tokens\":2}}\n", at, at);
  ASSERT_TRUE(WriteFile(path, lines).ok());
  ScriptedServer server([](int) { return StreamOf(1, 2, 1, 2, 2); });
  LoadSpec spec = Spec(server);
  spec.dataset = *ParseDataset("trace:" + path);
  const Json document = Run(spec);
  ASSERT_EQ(records_.size(), times.size());
  for (size_t i = 0; i < times.size(); ++i) {
    EXPECT_NEAR(records_[i].intended_ms, times[i], 0.001);
    EXPECT_GE(records_[i].sent_ms, times[i] - 0.01);
  }
  EXPECT_EQ(document["results"][0]["mode"], "open");
  EXPECT_EQ(document["results"][0]["arrival"], "trace");
}

TEST_F(LoadLevelsTest, ConversationsAreSentAsTheyAre) {
  const std::string path = (folder_ / "c.jsonl").string();
  const std::string messages = R"([{"role":"system","content":"be brief"},{"role":"user","content":"why"}])";
  ASSERT_TRUE(WriteFile(path, "{\"messages\":" + messages + "}\n").ok());
  ScriptedServer server([](int) { return StreamOf(1, 2, 1, 2, 2); });
  LoadSpec spec = Spec(server);
  spec.dataset = *ParseDataset("jsonl:" + path);
  spec.requests = 2;
  spec.max_tokens = 2;
  const Json document = Run(spec);
  EXPECT_EQ(DumpJson((*ParseJson(server.bodies()[0]))["messages"]), messages);
  EXPECT_TRUE(document["notes"][0].get<std::string>().starts_with("prompts repeat after 1"));
}

TEST_F(LoadLevelsTest, EveryStageIsARowAndRepeatsNoPrompt) {
  ScriptedServer server([](int) { return StreamOf(1, 5, 1, 2, 2); });
  LoadSpec spec = Spec(server);
  spec.max_tokens = 2;
  for (const int concurrency : {1, 3}) {
    LoadStage stage;
    stage.concurrency = concurrency;
    stage.requests = 9;
    spec.stages.push_back(stage);
  }
  LoadStage open;
  open.request_rate = 100;
  open.requests = 1000000;
  open.duration_s = 0.3;
  spec.stages.push_back(open);
  const Json document = Run(spec);
  ASSERT_EQ(document["results"].size(), 3u);
  EXPECT_EQ(document["results"][0]["concurrency"], 1);
  EXPECT_EQ(document["results"][1]["concurrency"], 3);
  EXPECT_EQ(document["results"][1]["load_stage"], 1);
  EXPECT_EQ(document["results"][2]["mode"], "open");
  EXPECT_EQ(document["results"][2]["request_rate_per_s"], 100);
  EXPECT_EQ(server.most_in_flight() >= 3, true);
  std::map<int, int> of_stage;
  std::set<std::string> prompts, ids;
  double last_done[3] = {}, first_sent[3] = {1e300, 1e300, 1e300};
  for (const RequestRecord& record : records_) {
    ++of_stage[record.load_stage];
    prompts.insert(record.prompt_id);
    ids.insert(record.id);
    last_done[record.load_stage] = std::max(last_done[record.load_stage], record.done_ms);
    first_sent[record.load_stage] = std::min(first_sent[record.load_stage], record.sent_ms);
  }
  EXPECT_EQ(of_stage[0], 9);
  EXPECT_EQ(of_stage[1], 9);
  EXPECT_EQ(of_stage[2], document["results"][2]["counts"]["sent"]);
  EXPECT_EQ(prompts.size(), records_.size());
  EXPECT_EQ(ids.size(), records_.size());
  // Records are in the run's time, one stage after the other.
  EXPECT_GE(first_sent[1], last_done[0]);
  EXPECT_GE(first_sent[2], last_done[1]);
}

TEST_F(LoadLevelsTest, AnAutomaticSweepFollowsTheMeasuredCapacity) {
  ScriptedServer server([](int) { return StreamOf(20, 20, 0, 1, 1); });
  LoadSpec spec = Spec(server);
  spec.max_tokens = 1;
  spec.rate_sweep = true;
  spec.duration_s = 0.1;
  spec.requests = 1000000;
  const Json document = Run(spec);
  ASSERT_EQ(document["results"].size(), 11u);
  const double capacity = document["results"][0]["requests_per_s_steady"];
  EXPECT_NEAR(document["results"][1]["request_rate_per_s"].get<double>(), 0.1 * capacity, 1e-9 * capacity);
  EXPECT_NEAR(document["results"][10]["request_rate_per_s"].get<double>(), 1.2 * capacity, 1e-9 * capacity);
}

TEST_F(LoadLevelsTest, TheSearchFindsTheConcurrencyThatKeepsTheBounds) {
  // Beyond six in flight the server answers ten times as late: a batch limit, seen from outside.
  ScriptedServer* self = nullptr;
  ScriptedServer server([&](int) {
    const double ms = self->in_flight_now() > 6 ? 400 : 20;
    return StreamOf(ms, ms, 0, 1, 1);
  });
  self = &server;
  LoadSpec spec = Spec(server);
  spec.max_tokens = 1;
  spec.slo.ttft_ms = 200;
  spec.search =
      LoadSearch{.by_rate = false, .share = 0.8, .probe_s = 0.2, .probe_requests = 20, .confirmations = 2};
  const Json document = Run(spec);
  const Json& search = document["search"];
  EXPECT_EQ(search["answer"], 6) << search.dump();
  EXPECT_EQ(search["confirmed"], true);
  EXPECT_EQ(search["probes"].size(), document["results"].size());
  for (const Json& probe : search["probes"]) EXPECT_EQ(probe["passed"], probe["level"] <= 6) << probe.dump();
  for (const Json& row : document["results"]) EXPECT_GE(row["counts"]["sent"].get<int>(), 20);
}

TEST_F(LoadLevelsTest, LevelsThatContradictEachOtherAreRefused) {
  ScriptedServer server([](int) { return StreamOf(1, 2, 1, 2, 2); });
  const auto refused = [&](auto change) {
    LoadSpec spec = Spec(server);
    change(spec);
    const Result<Json> document = RunLoadTest(spec, {});
    return !document.has_value() && document.error().code() == StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](LoadSpec& spec) { spec.search = LoadSearch{}; }));  // no bounds
  EXPECT_TRUE(refused([](LoadSpec& spec) {
    spec.search = LoadSearch{};
    spec.slo.ttft_ms = 1;
    spec.rate_sweep = true;
  }));
  EXPECT_TRUE(refused([](LoadSpec& spec) {
    spec.dataset.kind = DatasetSpec::Kind::kTrace;
    spec.request_rate = 3;
  }));
  EXPECT_TRUE(server.bodies().empty());
}

}  // namespace
}  // namespace weir
