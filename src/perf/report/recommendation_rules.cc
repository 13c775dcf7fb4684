#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "perf/report/attribution.h"
#include "perf/report/number_format.h"
#include "perf/report/rule_book.h"
#include "perf/statistics/departed_work.h"

namespace weir {
namespace {

// Of the gap.
constexpr double kShareWorthAdvice = 0.10;

void Recommend(Rules& rules, const char* rule, const char* priority, const std::string& text, Json evidence,
               const char* metric, std::optional<double> from, std::optional<double> expected,
               const char* formula, std::optional<double> remeasured, const std::string& step) {
  rules.Add(rule, "recommendation", "recommendations", text, std::move(evidence));
  Json& finding = rules.last();
  finding["priority"] = priority;
  finding["expected"] = {
      {"metric", metric}, {"from", NumberOrNull(from)}, {"to", NumberOrNull(expected)}, {"formula", formula}};
  if (remeasured) {
    // Confirmed: the measured gain reaches 80 % of the expected one.
    const bool confirmed =
        from && expected && *expected != *from && (*remeasured - *from) / (*expected - *from) >= 0.8;
    finding["remeasured"] = {
        {"metric", metric},  {"from", NumberOrNull(from)},
        {"to", *remeasured}, {"ci95", nullptr},
        {"run_id", step},    {"verdict", !expected ? "measured" : confirmed ? "confirmed" : "weaker"}};
  }
}

const LadderStep* FindStep(const std::vector<LadderStep>& steps, const std::string& id) {
  for (const LadderStep& step : steps) {
    if (step.id == id) return &step;
  }
  return nullptr;
}

}  // namespace

void RecommendationRules(const ReportInput& input, const Facts& f, Rules& rules) {
  if (f.before == nullptr || f.Before("/counts/failed").value_or(0) == 0) {
    rules.Silent("REC-03", "no load test with failures");
    return;
  }
  const double concurrency = f.Before("/concurrency").value_or(0);
  const auto measured = [&](const char* id, const char* pointer) -> std::optional<double> {
    const LadderStep* step = FindStep(input.steps, id);
    return step == nullptr ? std::nullopt : NumberAt(step->document, std::string("/results/0") + pointer);
  };
  const std::string row_c = RowOfBatch(f.benchmark, concurrency);
  const auto direct_c =
      row_c.empty() ? f.Bench(f.best + "/output_tps_steady") : f.Bench(row_c + "/output_tps_steady");
  Recommend(rules, "REC-03", "P0",
            fmt::format("Enable continuous batching (--scheduler continuous --max-num-seqs {} or more).",
                        FormatNumber(concurrency)),
            rules.FromStep(*f.before, {"/counts", "/output_tps"}), "output_tps", f.Before("/output_tps"),
            direct_c, "X(min(C, Bm))", measured("D", "/output_tps"), "D");
  const auto timeout_s = f.Before("/timeout_s");
  const auto latency_1 = f.Bench(f.first + "/e2el_ms/p50");
  if (timeout_s && latency_1 && concurrency * *latency_1 > *timeout_s * 1000) {
    Recommend(rules, "REC-04", "P0",
              fmt::format("A timeout of {} s is below the expected wait of the sequential server; use at "
                          "least {}. It trades "
                          "failures for latency, not for throughput.",
                          FormatNumber(*timeout_s), FormatMilliseconds(1.5 * concurrency * *latency_1)),
              rules.FromStep(*f.before, {"/timeout_s"}), "success_ratio", f.Before("/success_ratio"), 1.0,
              "C·L(b)/b > T", measured("B", "/success_ratio"), "B");
  } else {
    rules.Silent("REC-04", "the timeout is not below the expected wait, or batch 1 was not measured");
  }
  Recommend(rules, "REC-05", "P0",
            "Bound the queue and refuse the rest with Retry-After (--queue bounded), so that what is "
            "accepted is served in time.",
            rules.FromStep(*f.before, {"/counts/failed"}), "success_ratio", f.Before("/success_ratio"), 1.0,
            "SUC-1 of the repaired server", measured("E", "/success_ratio"), "E");
  if (rules.Has("OBS-15")) {
    const double wasted = WorkForDeparted(f.before->records).ratio();
    const LadderStep* step = FindStep(input.steps, "C");
    Recommend(
        rules, "REC-06", "P1",
        fmt::format(
            "Stop work when the client leaves (--on-disconnect cancel): {} of the engine's time comes free.",
            FormatPercent(std::round(wasted * 1000) / 1000)),
        rules.FromStep(*f.before, {"/counts"}), "departed_work_ratio", wasted, 0.0,
        "tokens computed after their client left, over all",
        step == nullptr ? std::nullopt : std::optional(WorkForDeparted(step->records).ratio()), "C");
  } else {
    rules.Silent("REC-06", "no work for clients that had left is known of");
  }
}

void CauseRecommendations(const std::string& which, const Json& causes, const Facts& facts, Rules& rules) {
  struct Advice {
    const char* rule;
    std::vector<std::string> causes;
    const char* text;
    std::vector<std::string> server_flags = {};  // that follow it
  };
  static const std::vector<Advice> kAdvice = {
      {"REC-07",
       {"queue_kv", "preemption"},
       "Give the KV cache more room: raise --memory-utilization or use --kv-cache-dtype int8",
       {"--memory-utilization", "0.95"}},
      {"REC-08",
       {"queue_budget"},
       "Let a step hold more tokens: raise --max-num-batched-tokens",
       {"--max-num-batched-tokens", "2048"}},
      {"REC-09",
       {"HTTP and JSON", "template and tokenise", "detokenise", "socket write"},
       "Reduce what surrounds the engine, above all"},
      {"REC-10",
       {"client wait", "transport and client read", "transport and client"},
       "Move the client to other cores or another machine"}};
  for (const Advice& advice : kAdvice) {
    double share = 0, most = 0;
    std::string largest;
    Json evidence = Json::array();
    for (size_t i = 0; i < causes.size(); ++i) {
      const std::string name = StringAt(causes[i], "/cause").value_or("");
      if (std::find(advice.causes.begin(), advice.causes.end(), name) == advice.causes.end()) continue;
      const double part = NumberAt(causes[i], "/share_ratio").value_or(0);
      share += part;
      evidence.push_back(
          Evidence("report", fmt::format("/attribution/{}/causes/{}", which, i), facts.report));
      if (part > most) {
        most = part;
        largest = name;
      }
    }
    if (share < kShareWorthAdvice) continue;
    const bool names_stage = std::string_view(advice.rule) == "REC-09";
    rules.Add(advice.rule, "recommendation", "recommendations",
              fmt::format("{}{}: {} of the gap {} the repair.", advice.text,
                          names_stage ? " " + CauseInWords(largest) : "",
                          FormatPercent(std::round(share * 1000) / 1000), which),
              std::move(evidence));
    rules.last()["priority"] = "P1";
    if (!advice.server_flags.empty()) {
      rules.LastCanBeTried({{"server_flags", advice.server_flags}}, "output_tps",
                           which == "before" ? facts.Before("/output_tps") : facts.After("/output_tps"));
    }
  }
}

void NoChangeRule(const Facts& facts, Rules& rules) {
  const auto share = facts.Bench(facts.best + "/limit/share_ratio");
  if (!share || !rules.Has("REC-01") || rules.HasOther("REC-", "REC-01")) return;
  rules.Add("REC-13", "recommendation", "recommendations",
            fmt::format("No change recommended; {} of the limit reached.",
                        FormatPercent(std::round(*share * 1000) / 1000)),
            rules.FromBench({facts.best + "/limit/share_ratio"}));
}

}  // namespace weir
