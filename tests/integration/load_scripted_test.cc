// What a load test reports about a server whose every delay is known.
#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "tests/integration/load_fixture.h"

namespace weir {
namespace {

// Within 1 % or a few ms; a timer is never early, so below the script only rounding is allowed.
void ExpectMs(const Json& value, double expected) {
  ASSERT_TRUE(value.is_number()) << value.dump();
  EXPECT_GE(value.get<double>(), expected - 1.0);
  EXPECT_LE(value.get<double>(), expected + std::max(0.01 * expected, 6.0));
}

TEST_F(LoadScriptedTest, StreamedTimelineIsReportedAsScripted) {
  ScriptedServer server([](int) { return StreamOf(10, 100, 20, 10, 10); });
  LoadSpec spec = Spec(server);
  spec.requests = 12;
  spec.concurrency = 2;
  spec.max_tokens = 10;
  const Json document = Run(spec);
  const Json& row = document["results"][0];
  EXPECT_EQ(row["counts"]["ok"], 12);
  EXPECT_EQ(row["success_ratio"], 1.0);
  EXPECT_EQ(row["output_tokens"], 120);
  EXPECT_EQ(row["input_tokens"], 12 * 12);
  ExpectMs(row["ttft_ms"]["p50"], 100);  // the role-only chunk at 10 ms is no token
  ExpectMs(row["itl_ms"]["p50"], 20);
  ExpectMs(row["tpot_ms"]["p50"], 20);
  ExpectMs(row["e2el_ms"]["p50"], 280);
  EXPECT_NEAR(row["tpot_with_first_ms"]["p50"].get<double>(), 28, 2);
  // Two workers with 280 ms each: 71.4 tok/s, less what the turnaround costs.
  EXPECT_LE(row["output_tps"].get<double>(), 2 * 10 / 0.279);
  EXPECT_GE(row["output_tps"].get<double>(), 2 * 10 / 0.279 * 0.93);
  EXPECT_LT(row["little"]["error_ratio"].get<double>(), 0.05);
  ASSERT_EQ(records_.size(), 12u);
  EXPECT_EQ(records_[3].token_times_ms.size(), 10u);
  EXPECT_EQ(document["requests_file"]["name"], "load.requests.jsonl");
  EXPECT_EQ(document["model"]["name"], "scripted");
  EXPECT_EQ(server.most_in_flight(), 2);
}

TEST_F(LoadScriptedTest, AChunkOfThreeTokensIsThreeTokens) {
  ScriptedServer server([](int) { return StreamOf(10, 40, 30, 8, 24); });
  LoadSpec spec = Spec(server);
  spec.requests = 4;
  spec.max_tokens = 24;
  const Json document = Run(spec);
  const Json& row = document["results"][0];
  EXPECT_EQ(row["output_tokens"], 96);  // from usage, not from chunks
  ExpectMs(row["ttft_ms"]["p50"], 40);
  ExpectMs(row["icl_ms"]["p50"], 30);
  EXPECT_NEAR(row["itl_ms"]["p50"].get<double>(), 10, 2);
  EXPECT_EQ(row["chunks"]["count"], 32);
  EXPECT_EQ(row["chunks"]["tokens_per_chunk"], 3.0);
  bool fired = false;
  for (const Json& check : document["validity"]["checks"]) {
    fired |= check["id"] == "V-12" && check["verdict"] != "VALID";
  }
  EXPECT_TRUE(fired);
}

TEST_F(LoadScriptedTest, APromptOfFiftyThousandTokensCostsTheAnswerNothing) {
  ScriptedServer server([](int) { return StreamOf(5, 20, 10, 20, 20); });
  LoadSpec spec = Spec(server);
  spec.requests = 4;
  spec.max_tokens = 20;
  const Json brief = Run(spec);
  std::string prompt;
  for (int i = 0; i < 50000; ++i) prompt += "word ";
  const std::string file = (folder_ / "long.jsonl").string();
  ASSERT_TRUE(WriteFile(file, DumpJson({{"prompt", prompt}}) + "\n").ok());
  spec.dataset = *ParseDataset("jsonl:" + file);
  const Json longest = Run(spec);
  EXPECT_GT(server.bodies().back().size(), 250000u);
  EXPECT_EQ(longest["results"][0]["counts"]["ok"], 4);
  for (const char* metric : {"tpot_ms", "icl_ms", "itl_ms"}) {
    const double a = brief["results"][0][metric]["p50"].get<double>();
    EXPECT_NEAR(longest["results"][0][metric]["p50"].get<double>(), a, 0.05 * a) << metric;
  }
}

TEST_F(LoadScriptedTest, AClientThatIsSlowOverEveryChunkVoidsItsGaps) {
  ScriptedServer server([](int) { return StreamOf(1, 2, 0, 100, 100); });  // as fast as it can
  LoadSpec spec = Spec(server);
  spec.requests = 4;
  spec.max_tokens = 100;
  spec.chunk_delay_ms = 2;
  const Json document = Run(spec);
  EXPECT_EQ(document["results"][0]["counts"]["ok"], 4);
  EXPECT_TRUE(VerdictOf(document, "V-01") == Verdict::kInvalid ||
              VerdictOf(document, "V-02") == Verdict::kInvalid);
}

TEST_F(LoadScriptedTest, AStallIsTheLargestGap) {
  ScriptedServer server([](int) {
    AnswerScript script = StreamOf(5, 20, 10, 6, 6);
    for (size_t i = 4; i < script.pieces.size(); ++i) script.pieces[i].at_ms += 150;
    script.end_ms += 150;
    return script;
  });
  LoadSpec spec = Spec(server);
  spec.requests = 9;
  spec.max_tokens = 6;
  const Json document = Run(spec);
  ExpectMs(document["results"][0]["itl_max_ms"]["p50"], 160);
  ExpectMs(document["results"][0]["itl_ms"]["p50"], 10);
}

TEST_F(LoadScriptedTest, EveryKindOfFailureHasItsClass) {
  struct Case {
    AnswerScript script;
    Outcome outcome;
    std::string error_class, phase;
  };
  const auto with = [](auto change) {
    AnswerScript script = StreamOf(1, 5, 1, 4, 4);
    change(script);
    return script;
  };
  const auto status = [](int code, std::vector<HttpHeader> headers, std::string body = "{}") {
    AnswerScript script;
    script.status = code;
    script.headers = std::move(headers);
    script.body = std::move(body);
    return script;
  };
  const std::vector<Case> cases = {
      {with([](AnswerScript&) {}), Outcome::kOk, "", ""},
      {status(500, {}, R"({"error":{"message":"it broke"}})"), Outcome::kFailed, "http_500", "first_byte"},
      {status(429, {{"Retry-After", "1"}}), Outcome::kShed, "http_429", "first_byte"},
      {status(503, {{"retry-after-ms", "20"}}), Outcome::kShed, "http_503", "first_byte"},
      {status(429, {}), Outcome::kFailed, "http_429", "first_byte"},
      {status(429, {{"Retry-After", "soon"}}), Outcome::kFailed, "http_429", "first_byte"},
      {status(429, {{"Retry-After", "1"}}, R"({"error":{"code":"deadline_expired"}})"), Outcome::kFailed,
       "deadline_dropped", "first_byte"},
      {status(504, {}), Outcome::kFailed, "http_504", "first_byte"},
      {with([](AnswerScript& s) {
         s.head_ms = s.end_ms = 5000;
         s.pieces.clear();
       }),
       Outcome::kFailed, "timeout", "first_byte"},
      {with([](AnswerScript& s) {
         s.pieces.resize(1);
         s.end = AnswerScript::End::kHang;
       }),
       Outcome::kFailed, "timeout", "first_token"},
      {with([](AnswerScript& s) {
         s.pieces.resize(3);
         s.end = AnswerScript::End::kHang;
       }),
       Outcome::kFailed, "timeout", "stream"},
      {with([](AnswerScript& s) { s.pieces[2].bytes = "data: {broken\n\n"; }), Outcome::kFailed,
       "malformed_stream", "stream"},
      {with([](AnswerScript& s) {
         s.pieces[2].bytes = "data: {\"error\":{\"message\":\"out of memory\"}}\n\n";
       }),
       Outcome::kFailed, "malformed_stream", "stream"},
      {with([](AnswerScript& s) {
         s.pieces.resize(2);
         s.pieces[1].bytes = "data: {\"error\":{\"code\":\"deadline_expired\",\"message\":\"too late\"}}\n\n";
       }),
       Outcome::kFailed, "deadline_dropped", "first_token"},
      {with([](AnswerScript& s) { s.end = AnswerScript::End::kNoDone; }), Outcome::kFailed,
       "malformed_stream", "stream"},
      {with([](AnswerScript& s) { s.pieces.back().bytes = "data: [DONE]\n\n" + ContentChunk("late"); }),
       Outcome::kFailed, "malformed_stream", "stream"},
      {with([](AnswerScript& s) { s.pieces.back().bytes = FinishChunk("length") + UsageChunk(12, 3); }),
       Outcome::kFailed, "wrong_token_count", "stream"},
      {with([](AnswerScript& s) {
         s.pieces.resize(1);
         s.pieces.push_back({6, UsageChunk(12, 0)});
       }),
       Outcome::kFailed, "empty_output", "first_token"},
      {with([](AnswerScript& s) { s.pieces.back().bytes = FinishChunk("stop") + UsageChunk(12, 3); }),
       Outcome::kOk, "", ""},  // a foreign server that ends where the model ends
      {with([](AnswerScript& s) {
         s.pieces.resize(3);
         s.end = AnswerScript::End::kAbort;
       }),
       Outcome::kFailed, "", "stream"},  // reset or cut short: both names are right
  };
  ScriptedServer server([&](int n) { return cases[static_cast<size_t>(n)].script; });
  LoadSpec spec = Spec(server);
  spec.requests = static_cast<int>(cases.size());
  spec.max_tokens = 4;
  spec.timeout_s = 0.25;
  spec.on_shed = OnShed::kNext;
  const Json document = Run(spec);
  ASSERT_EQ(records_.size(), cases.size());
  int failed = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    const RequestRecord& record = records_[i];
    const std::string got = record.error ? record.error->error_class + ": " + record.error->message : "";
    EXPECT_EQ(OutcomeName(record.outcome), OutcomeName(cases[i].outcome)) << "case " << i << " " << got;
    failed += cases[i].outcome == Outcome::kFailed;
    if (cases[i].outcome == Outcome::kOk) {
      EXPECT_FALSE(record.error.has_value());
      continue;
    }
    ASSERT_TRUE(record.error.has_value()) << i;
    EXPECT_EQ(record.error->phase, cases[i].phase) << "case " << i << " " << got;
    if (!cases[i].error_class.empty()) {
      EXPECT_EQ(record.error->error_class, cases[i].error_class) << "case " << i;
    }
  }
  EXPECT_EQ(document["results"][0]["counts"]["failed"], failed);
  EXPECT_EQ(document["results"][0]["counts"]["shed"], 2);
  // A failed request counts at least its timeout, whatever it took to fail.
  EXPECT_GE(document["results"][0]["e2el_with_failed_ms"]["p90"].get<double>(), 250);
}

TEST_F(LoadScriptedTest, AnOpenLoopChargesTheWaitForASlot) {
  // 100 ms of service, one at a time, an arrival every 50 ms.
  ScriptedServer server([](int) { return StreamOf(100, 100, 0, 1, 1); });
  LoadSpec spec = Spec(server);
  spec.requests = 20;
  spec.max_tokens = 1;
  spec.request_rate = 20;
  spec.arrival = ArrivalProcess::kConstant;
  spec.max_in_flight = 1;
  const Json document = Run(spec);
  const Json& row = document["results"][0];
  EXPECT_EQ(row["mode"], "open");
  EXPECT_EQ(server.most_in_flight(), 1);
  ExpectMs(row["e2el_ms"]["p50"], 100);
  // Each service that is late by a little delays all that follow, hence the wider bounds above.
  const double mean = row["e2el_from_intended_ms"]["mean"].get<double>();
  EXPECT_GE(mean, 574);
  EXPECT_LE(mean, 575 + 20 * 3);
  const double queue = row["client_queue_ms"]["mean"].get<double>();
  EXPECT_GE(queue, 474);
  EXPECT_LE(queue, 475 + 20 * 3);
  for (int i = 0; i < 20; ++i) EXPECT_NEAR(records_[static_cast<size_t>(i)].intended_ms, 50.0 * i, 0.001);
}

TEST_F(LoadScriptedTest, AShedWorkerWaitsAsLongAsItWasTold) {
  ScriptedServer server([](int n) {
    if (n > 0) return StreamOf(1, 2, 1, 2, 2);
    AnswerScript script;
    script.status = 429;
    script.headers = {{"retry-after-ms", "300"}};
    return script;
  });
  LoadSpec spec = Spec(server);
  spec.requests = 2;
  spec.max_tokens = 2;
  Run(spec);
  ASSERT_EQ(records_.size(), 2u);
  EXPECT_EQ(records_[0].outcome, Outcome::kShed);
  EXPECT_EQ(records_[1].outcome, Outcome::kOk);
  EXPECT_GE(records_[1].sent_ms - records_[0].done_ms, 300);
  EXPECT_LT(records_[1].sent_ms - records_[1].intended_ms, 50);  // the pause is no client queue
}

TEST_F(LoadScriptedTest, WarmUpIsNeverMeasuredAndKeepsTheCap) {
  ScriptedServer server([](int) { return StreamOf(1, 20, 1, 2, 2); });
  LoadSpec spec = Spec(server);
  spec.requests = 6;
  spec.warmup = 7;
  spec.concurrency = 3;
  spec.max_tokens = 2;
  const Json document = Run(spec);
  const std::vector<std::string> bodies = server.bodies();
  ASSERT_EQ(bodies.size(), 13u);
  EXPECT_EQ(server.most_in_flight(), 3);
  std::set<std::string> warm(bodies.begin(), bodies.begin() + 7), measured(bodies.begin() + 7, bodies.end());
  EXPECT_EQ(measured.size(), 6u);
  for (const std::string& body : measured) EXPECT_FALSE(warm.contains(body)) << body;
  EXPECT_EQ(document["results"][0]["counts"]["sent"], 6);
}

TEST_F(LoadScriptedTest, LedgersAreJoinedById) {
  ScriptedServer server([](int n) {
    AnswerScript script = StreamOf(1, 5, 1, 2, 2);
    if (n == 1)
      script.end = AnswerScript::End::kHang;  // a timed-out request has no response, but it has a ledger
    return script;
  });
  server.OfferLedgers(42.5);
  LoadSpec spec = Spec(server);
  spec.requests = 3;
  spec.max_tokens = 2;
  spec.timeout_s = 0.3;
  const Json document = Run(spec);
  ASSERT_EQ(records_.size(), 3u);
  for (const RequestRecord& record : records_) {
    EXPECT_EQ(JsonNumber(FindJson(record.server, {"ledger_ms", "queue_slot"})), 42.5);
    EXPECT_EQ(JsonNumber(FindJson(record.server, {"num_steps"})), 7);
  }
  EXPECT_EQ(records_[1].outcome, Outcome::kFailed);
  EXPECT_EQ(document["results"][0]["queue_ms"]["p50"], 42.5);
}

TEST_F(LoadScriptedTest, TokensAreCountedByTheirIdsWhateverTheirText) {
  // Runs of spaces, a line end, half of a multi-byte character: text that a tokenizer would not cut the same way again.
  ScriptedServer server([](int) {
    AnswerScript script = StreamOf(1, 2, 1, 0, 6);
    script.pieces.pop_back();
    const auto chunk = [](const char* text, const char* ids) {
      return fmt::format(
          "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}},\"token_ids\":[{}]}}]}}\n\n",
          text, ids);
    };
    script.pieces.push_back({2, chunk(" ", "220")});
    script.pieces.push_back({3, chunk("   ", "256")});
    script.pieces.push_back({4, chunk("\\n\\n", "198,198")});
    script.pieces.push_back(
        {5, chunk("", "17000")});  // a part of a character has no text yet, and is a token
    script.pieces.push_back({6, chunk("\xc3\xa9", "102")});
    script.end_ms = 7;
    script.pieces.push_back({7, FinishChunk("length") + UsageChunk(12, 6)});
    return script;
  });
  LoadSpec spec = Spec(server);
  spec.requests = 12;
  spec.max_tokens = 6;
  const Json document = Run(spec);
  for (const RequestRecord& record : records_) {
    EXPECT_EQ(record.output_tokens, 6);
    EXPECT_EQ(record.output_tokens_local, 6);
    EXPECT_EQ(record.chunk_sizes, (std::vector<int>{1, 1, 2, 1, 1}));
    EXPECT_EQ(record.output_hash, HashTokenIds({220, 256, 198, 198, 17000, 102}));
  }
  EXPECT_EQ(VerdictOf(document, "V-08"), Verdict::kValid);
}

TEST_F(LoadScriptedTest, ASlowFirstRequestIsLeftToTheWarmUp) {
  for (const int warmup : {0, 1}) {
    ScriptedServer server([](int n) { return StreamOf(1, n == 0 ? 400 : 5, 1, 2, 2); });
    LoadSpec spec = Spec(server);
    spec.requests = 12;
    spec.max_tokens = 2;
    spec.warmup = warmup;
    const Json document = Run(spec);
    EXPECT_EQ(VerdictOf(document, "V-11") == Verdict::kInvalid, warmup == 0);
    EXPECT_EQ(document["results"][0]["ttft_ms"]["max"].get<double>() >= 400, warmup == 0);
  }
}

TEST_F(LoadScriptedTest, PromptsTheServerRemembersVoidTheRun) {
  // 16 tokens are the template's; a warm server knows 48.
  for (const auto& [cached, verdict] : {std::pair{16, Verdict::kValid}, {48, Verdict::kInvalid}}) {
    ScriptedServer server([&, cached = cached](int n) {
      AnswerScript script = StreamOf(1, 2, 1, 2, 2);
      const int known = n == 0 ? 0 : n < 3 ? 16 : cached;
      script.pieces.back().bytes =
          FinishChunk("length") +
          fmt::format(
              "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":50,\"completion_tokens\":2,"
              "\"prompt_tokens_details\":{{\"cached_tokens\":{}}}}}}}\n\n",
              known);
      return script;
    });
    LoadSpec spec = Spec(server);
    spec.requests = 10;
    spec.warmup = 3;
    spec.max_tokens = 2;
    const Json document = Run(spec);
    EXPECT_EQ(VerdictOf(document, "V-07"), verdict) << cached;
    // The other way round does not hold: on a slow machine another rule may void the run.
    if (verdict == Verdict::kInvalid) {
      EXPECT_EQ(document["validity"]["verdict"], "INVALID");
    }
  }
}

TEST_F(LoadScriptedTest, WarmUpPromptsAreNewInEveryRun) {
  ScriptedServer server([](int) { return StreamOf(1, 2, 1, 2, 2); });
  LoadSpec spec = Spec(server);
  spec.requests = 1;
  spec.warmup = 4;
  spec.max_tokens = 2;
  Run(spec);
  Run(spec);
  const std::vector<std::string> bodies = server.bodies();
  const std::set<std::string> distinct(bodies.begin(), bodies.end());
  EXPECT_EQ(bodies.size(), 10u);
  EXPECT_EQ(distinct.size(), 9u);  // only the measured one comes again
}

TEST_F(LoadScriptedTest, StoppingKeepsWhatWasMeasured) {
  ScriptedServer server([](int) { return StreamOf(1, 50, 10, 6, 6); });
  LoadSpec spec = Spec(server);
  spec.requests = 1000;
  spec.max_tokens = 6;
  std::atomic<bool> stop{false};
  spec.stop = &stop;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(450));
    stop = true;
  });
  const Json document = Run(spec);
  later.join();
  EXPECT_EQ(document["interrupted"], true);
  const Json& counts = document["results"][0]["counts"];
  EXPECT_GE(counts["ok"].get<int>(), 2);
  EXPECT_LT(counts["ok"].get<int>(), 10);
  EXPECT_EQ(counts["failed"], 0);
  EXPECT_EQ(counts["ok"].get<int>() + counts["cancelled"].get<int>(), counts["sent"].get<int>());
  EXPECT_EQ(static_cast<int>(records_.size()), counts["sent"].get<int>());
}

TEST_F(LoadScriptedTest, AnUnreachableServerIsOneClearError) {
  std::string url;
  {
    ScriptedServer server([](int) { return StreamOf(1, 2, 1, 2, 2); });
    url = server.url();
  }
  LoadSpec spec;
  spec.url = url;
  spec.records_path = (folder_ / "never.jsonl").string();
  const Result<Json> document = RunLoadTest(spec, {});
  ASSERT_FALSE(document.has_value());
  EXPECT_EQ(document.error().code(), StatusCode::kUnavailable);
  EXPECT_NE(document.error().message().find(url), std::string::npos) << document.error().message();
  EXPECT_FALSE(std::filesystem::exists(spec.records_path));
  EXPECT_FALSE(std::filesystem::exists(spec.records_path + ".part"));
}

}  // namespace
}  // namespace weir
