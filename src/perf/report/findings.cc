#include "perf/report/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "perf/report/attribution.h"
#include "perf/report/evidence.h"
#include "perf/report/number_format.h"

namespace weir {
namespace {

// 1 / GAP-2 above 0.909: no gap, as OBS-09 says.
constexpr double kGapWorthACause = 1 - 1 / 1.10;

// What every rule may look at, found once.
struct Facts {
  const Json& benchmark;
  const LadderStep* before;
  const LadderStep* after;
  const Json& report;
  std::string first, best, largest;  // row pointers of the benchmark
  std::optional<double> scaling;     // X(largest) / X(1)

  std::optional<double> Bench(const std::string& pointer) const { return NumberAt(benchmark, pointer); }
  std::optional<double> Before(const std::string& pointer) const {
    return before == nullptr ? std::nullopt : NumberAt(before->document, "/results/0" + pointer);
  }
  std::optional<double> After(const std::string& pointer) const {
    return after == nullptr ? std::nullopt : NumberAt(after->document, "/results/0" + pointer);
  }
};

class Rules {
 public:
  Rules(const Facts& facts, Findings* out) : facts_(facts), out_(out) {}

  void Add(const char* rule, const char* kind, const char* section, const std::string& text, Json evidence) {
    out_->list.push_back({{"rule", rule},
                          {"kind", kind},
                          {"section", section},
                          {"priority", nullptr},
                          {"text", text},
                          {"evidence", std::move(evidence)},
                          {"expected", nullptr},
                          {"remeasured", nullptr}});
  }
  void Silent(const char* rule, const char* why) { out_->silent.push_back({{"rule", rule}, {"why", why}}); }
  Json& last() { return out_->list.back(); }

  Json FromBench(std::initializer_list<std::string> pointers) const {
    Json list = Json::array();
    for (const auto& p : pointers) list.push_back(Evidence("benchmark", p, facts_.benchmark));
    return list;
  }
  Json FromStep(const LadderStep& step, std::initializer_list<std::string> pointers) const {
    Json list = Json::array();
    for (const auto& p : pointers) list.push_back(Evidence(step.file, "/results/0" + p, step.document));
    return list;
  }

 private:
  const Facts& facts_;
  Findings* out_;
};

void BenchmarkRules(const Facts& f, Rules& rules) {
  if (!f.scaling) {
    rules.Silent("OBS-01", "no benchmark with batch 1 and a larger batch");
    return;
  }
  const double largest = f.Bench(f.largest + "/batch_size").value_or(0);
  const double per_slot = *f.scaling / largest;
  const Json throughput = rules.FromBench({f.first + "/output_tps_steady", f.largest + "/output_tps_steady"});
  if (per_slot >= 0.8) {
    rules.Add("OBS-01", "observation", "benchmark",
              fmt::format("Throughput scales almost linearly: {} from batch 1 to {}.", FormatRatio(f.scaling),
                          largest),
              throughput);
  } else if (per_slot >= 0.4) {
    rules.Add("OBS-02", "observation", "benchmark",
              fmt::format("Throughput scales below linear: {} from batch 1 to {}.", FormatRatio(f.scaling),
                          largest),
              throughput);
  } else {
    rules.Add("OBS-02", "observation", "benchmark",
              fmt::format("Throughput scales far below linear: {} from batch 1 to {}.",
                          FormatRatio(f.scaling), largest),
              throughput);
  }
  const auto latency_1 = f.Bench(f.first + "/e2el_ms/p50");
  const auto latency_n = f.Bench(f.largest + "/e2el_ms/p50");
  if (latency_1 && latency_n && *latency_1 > 0) {
    rules.Add("OBS-04", "observation", "benchmark",
              fmt::format("Latency (p50) rises by {} while throughput rises {}.",
                          FormatPercent(std::round((*latency_n / *latency_1 - 1) * 1000) / 1000),
                          FormatRatio(f.scaling)),
              rules.FromBench({f.first + "/e2el_ms/p50", f.largest + "/e2el_ms/p50"}));
  } else {
    rules.Silent("OBS-04", "latency of the first or the largest batch is missing");
  }
  const auto share = f.Bench(f.best + "/limit/share_ratio");
  const auto bound = StringAt(f.benchmark, f.best + "/limit/bound");
  if (share && bound) {
    rules.Add(*share >= 0.6 ? "OBS-05" : "REC-11", "observation", "benchmark",
              fmt::format("The best row reaches {} of what this machine's {} allows.",
                          FormatPercent(std::round(*share * 1000) / 1000), *bound),
              rules.FromBench({f.best + "/limit/share_ratio", f.best + "/limit/bound"}));
  } else {
    rules.Silent("OBS-05", "the physical limit was not measured");
  }
  // REC-01: the smallest batch within 5 % of the best throughput.
  const double best_tps = f.Bench(f.best + "/output_tps_steady").value_or(0);
  for (size_t i = 0; i < f.benchmark["results"].size(); ++i) {
    const std::string row = fmt::format("/results/{}", i);
    if (f.Bench(row + "/output_tps_steady").value_or(0) >= 0.95 * best_tps) {
      rules.Add("REC-01", "recommendation", "recommendations",
                fmt::format("Use batch size {}: the smallest within 5 % of the best throughput.",
                            FormatNumber(f.Bench(row + "/batch_size"))),
                rules.FromBench({row + "/batch_size", row + "/output_tps_steady"}));
      rules.last()["priority"] = "P2";
      break;
    }
  }
}

// OBS-14: what succeeded shows no wait, although there were fewer places than clients.
void StarvationRule(const Facts& f, const LadderStep& step, const char* section, Rules& rules) {
  const auto value = [&](const std::string& pointer) {
    return NumberAt(step.document, "/results/0" + pointer);
  };
  double timeouts = 0;
  const Json* errors = FindJson(step.document["results"][0], {"errors"});
  for (size_t i = 0; errors != nullptr && i < errors->size(); ++i) {
    if (StringAt((*errors)[i], "/class") == "timeout")
      timeouts += NumberAt((*errors)[i], "/count").value_or(0);
  }
  const auto alone = f.first.empty() ? std::nullopt : f.Bench(f.first + "/e2el_ms/p50");
  const auto p95 = value("/e2el_ms/p95"), concurrency = value("/concurrency");
  const auto places = NumberAt(step.document, "/server_version/max_num_seqs");
  if (timeouts <= 0) return;
  if (!alone || !p95 || !concurrency || !places) {
    rules.Silent("OBS-14",
                 "the latency alone, the number of places or the latency of successes is not known");
    return;
  }
  if (*p95 > 1.2 * *alone || *concurrency <= *places) return;
  rules.Add(
      "OBS-14", "observation", section,
      fmt::format("Successes show no queue wait (p95 {}, alone {}): requests were starved or lost; plain "
                  "waiting would lengthen successes too.",
                  FormatMilliseconds(p95), FormatMilliseconds(alone)),
      rules.FromStep(step, {"/e2el_ms/p95", "/errors"}));
}

// OBS-18: outputs of another length than asked for, where a natural end does not explain it.
void OutputLengthRule(const LadderStep& step, const char* section, Rules& rules) {
  const auto value = [&](const std::string& pointer) {
    return NumberAt(step.document, "/results/0" + pointer);
  };
  const auto ok = value("/counts/ok"), asked = NumberAt(step.document, "/parameters/max_tokens");
  auto tokens = value("/output_tokens");
  const auto tps = value("/output_tps"), wall = value("/wall_s");
  if (!tokens && tps && wall) tokens = *tps * *wall;
  if (!ok || *ok <= 0 || !asked || *asked <= 0 || !tokens) {
    rules.Silent("OBS-18", "the number of output tokens, of successes or of tokens asked for is not known");
    return;
  }
  const double each = *tokens / *ok;
  const auto mean = value("/e2el_ms/mean"), deviation = value("/e2el_ms/std");
  const bool tight = mean && deviation && *mean > 0 && *deviation / *mean < 0.05;
  const Json* forced = FindJson(step.document, {"parameters", "ignore_eos"});
  if (std::fabs(each - *asked) <= 0.02 * *asked || !(tight || (forced != nullptr && *forced == true))) return;
  rules.Add("OBS-18", "observation", section,
            fmt::format("Outputs are short or miscounted: {:.1f} tokens per request instead of {}.", each,
                        FormatNumber(*asked)),
            rules.FromStep(step, {"/counts/ok", "/output_tps", "/wall_s"}));
}

// OBS-16: V-06 of the row.
void BacklogRule(const LadderStep& step, const char* section, Rules& rules) {
  const Json* saturated = FindJson(step.document["results"][0], {"backlog", "saturated"});
  if (saturated == nullptr || *saturated != true) return;
  rules.Add("OBS-16", "observation", section,
            fmt::format("The backlog grows by {} requests/s: the rate is above the capacity, {} requests/s.",
                        FormatNumber(NumberAt(step.document, "/results/0/backlog/requests_per_s")),
                        FormatNumber(NumberAt(step.document, "/results/0/requests_per_s"))),
            rules.FromStep(step, {"/backlog/requests_per_s", "/requests_per_s"}));
}

void LoadRules(const Facts& f, const LadderStep& step, const char* section, Rules& rules) {
  const auto value = [&](const std::string& pointer) {
    return NumberAt(step.document, "/results/0" + pointer);
  };
  const auto sent = value("/counts/sent");
  const auto failed = value("/counts/failed");
  const auto shed = value("/counts/shed");
  const auto best = f.Bench(f.best + "/output_tps_steady");
  const auto api = value("/output_tps");
  if (best && api && *api > 0) {
    const double gap = *best / *api;
    rules.Add("OBS-08", "observation", section,
              fmt::format("The API delivers {} of the engine's {} tok/s: {} (GAP-1).", FormatNumber(*api),
                          FormatNumber(*best), FormatRatio(gap)),
              rules.FromStep(step, {"/output_tps"}));
  } else if (best && api && *api == 0) {
    rules.Add("OBS-08", "observation", section, "The API delivers no token of a successful request.",
              rules.FromStep(step, {"/output_tps"}));
  }
  if (sent && failed && *failed > 0) {
    // One row per class and phase; the class is what counts here.
    std::map<std::string, double> by_class;
    const Json* errors = FindJson(step.document["results"][0], {"errors"});
    for (size_t i = 0; errors != nullptr && i < errors->size(); ++i) {
      if (StringAt((*errors)[i], "/outcome").value_or("failed") != "failed") continue;
      by_class[StringAt((*errors)[i], "/class").value_or("unknown")] +=
          NumberAt((*errors)[i], "/count").value_or(0);
    }
    std::string largest_class = "unknown";
    double count = 0;
    for (const auto& [name, number] : by_class) {
      if (number > count) {
        largest_class = name;
        count = number;
      }
    }
    rules.Add("OBS-10", "observation", section,
              fmt::format("{} of {} requests failed, {} of them by {}.", FormatNumber(*failed),
                          FormatNumber(*sent), FormatNumber(count), largest_class),
              rules.FromStep(step, {"/counts/sent", "/counts/failed", "/errors"}));
    const auto mean = value("/e2el_ms/mean");
    const auto deviation = value("/e2el_ms/std");
    const auto count_ok = value("/e2el_ms/count");
    const auto with_failed = value("/e2el_with_failed_ms/p95");
    if (mean && deviation && count_ok && *count_ok >= 3 && *mean > 0 && *deviation / *mean < 0.05) {
      rules.Add("OBS-12", "observation", section,
                fmt::format(
                    "Successful latency is tight, but these are survivors: p95 with failures is {} (E2EL-4).",
                    with_failed ? "at least " + FormatMilliseconds(with_failed)
                                : std::string("not computable: timeout unknown")),
                rules.FromStep(step, {"/e2el_ms", "/e2el_with_failed_ms/p95"}));
    }
  }
  StarvationRule(f, step, section, rules);
  OutputLengthRule(step, section, rules);
  BacklogRule(step, section, rules);
  if (shed && sent && *shed > 0) {
    rules.Add("OBS-11", "observation", section,
              fmt::format("{} of {} were refused with Retry-After, p99 in {}: control, not failure.",
                          FormatNumber(*shed), FormatNumber(*sent),
                          FormatMilliseconds(value("/shed_response_ms/p99"))),
              rules.FromStep(step, {"/counts/shed", "/shed_response_ms/p99"}));
  }
}

// Timeouts that the server's own ledgers place: was the request waiting or running when its client gave up?
void TimeoutRule(const LadderStep& step, Rules& rules) {
  int timeouts = 0, placed = 0, queued = 0;
  for (const RequestRecord& record : step.records) {
    if (record.outcome != Outcome::kFailed || !record.error || record.error->error_class != "timeout")
      continue;
    ++timeouts;
    const Json* ledger = FindJson(record.server, {"ledger_ms"});
    if (ledger == nullptr) continue;
    ++placed;
    const double timeout_ms = record.done_ms - record.sent_ms;
    double waited = 0;
    for (const auto& [stage, ms] : ledger->items()) {
      if (stage.starts_with("queue_")) waited += JsonNumber(&ms).value_or(0);
    }
    if (waited >= timeout_ms) ++queued;
  }
  if (timeouts == 0) return;
  if (placed < timeouts) {
    rules.Silent("OBS-13", "the server's ledgers of some timed-out requests are missing");
    return;
  }
  if (queued >= 0.8 * timeouts) {
    rules.Add(
        "OBS-13", "observation", "load",
        fmt::format("Requests time out while waiting, not while running: {} of {} were still queued when "
                    "their client left.",
                    queued, timeouts),
        Json::array({Json{
            {"file", step.file}, {"pointer", "requests: server.ledger_ms.queue_*"}, {"value", queued}}}));
  }
}

void CauseRules(const Facts& f, Rules& rules) {
  for (const char* which : {"before", "after"}) {
    const Json* causes = FindJson(f.report, {"attribution", which, "causes"});
    if (causes == nullptr || StringAt(f.report, fmt::format("/attribution/{}/verdict", which)) != "VALID")
      continue;
    const double gap = NumberAt(f.report, fmt::format("/attribution/{}/direct_tps", which)).value_or(0) -
                       NumberAt(f.report, fmt::format("/attribution/{}/api_tps", which)).value_or(0);
    // OBS-09: what is within the noise of two runs has no cause worth a name; the waterfall shows it all the same.
    const double direct = NumberAt(f.report, fmt::format("/attribution/{}/direct_tps", which)).value_or(0);
    if (gap < kGapWorthACause * direct) {
      rules.Add(
          "OBS-09", "observation", std::string(which) == "before" ? "load_before" : "load_after",
          fmt::format("The API keeps {} of the engine's throughput at {} in flight (GAP-2).",
                      FormatPercent(std::round((1 - gap / direct) * 1000) / 1000),
                      FormatNumber(NumberAt(f.report, fmt::format("/attribution/{}/concurrency", which)))),
          Json::array({Evidence("report", fmt::format("/attribution/{}/api_tps", which), f.report),
                       Evidence("report", fmt::format("/attribution/{}/direct_tps", which), f.report)}));
      continue;
    }
    for (size_t i = 0; i < causes->size(); ++i) {
      const double share = NumberAt((*causes)[i], "/share_ratio").value_or(0);
      const std::string cause = StringAt((*causes)[i], "/cause").value_or("");
      if (share < 0.05 || cause == "unattributed") continue;
      rules.Add(
          "CAUSE", "cause", which,
          fmt::format("{}: {} takes {} tok/s, {} of the gap at this concurrency.",
                      which == std::string("before") ? "Before" : "After", CauseInWords(cause),
                      FormatNumber(NumberAt((*causes)[i], "/tps")),
                      FormatPercent(std::round(share * 1000) / 1000)),
          Json::array({Evidence("report", fmt::format("/attribution/{}/causes/{}", which, i), f.report)}));
    }
  }
}

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
    const bool confirmed = from && expected && (*remeasured - *from) >= 0.8 * (*expected - *from);
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
  if (const LadderStep* step = FindStep(input.steps, "C")) {
    Recommend(rules, "REC-06", "P1", "Stop work when the client leaves (--on-disconnect cancel).",
              rules.FromStep(*step, {"/counts"}), "success_ratio", f.Before("/success_ratio"), std::nullopt,
              "depends on phase", measured("C", "/success_ratio"), "C");
  } else {
    rules.Silent("REC-06", "step C was not run");
  }
}

}  // namespace

Findings ApplyRules(const ReportInput& input, const Json& facts) {
  Findings out;
  Facts f{input.benchmark, StepBefore(input.steps), StepAfter(input.steps), facts, "", "", "", std::nullopt};
  Rules rules(f, &out);
  if (!input.benchmark.is_null()) {
    f.first = RowOfBatch(f.benchmark, 1);
    f.best = BestRow(f.benchmark);
    double largest = 0;
    for (size_t i = 0; i < f.benchmark["results"].size(); ++i) {
      const std::string row = fmt::format("/results/{}", i);
      const double batch = f.Bench(row + "/batch_size").value_or(0);
      if (batch > largest) {
        largest = batch;
        f.largest = row;
      }
    }
    const auto one = f.first.empty() ? std::nullopt : f.Bench(f.first + "/output_tps_steady");
    const auto many = f.largest.empty() ? std::nullopt : f.Bench(f.largest + "/output_tps_steady");
    if (one && many && *one > 0 && largest > 1) f.scaling = *many / *one;
    BenchmarkRules(f, rules);
  }
  if (f.before != nullptr) {
    LoadRules(f, *f.before, "load_before", rules);
    TimeoutRule(*f.before, rules);
  }
  if (f.after != nullptr && f.after != f.before) LoadRules(f, *f.after, "load_after", rules);
  CauseRules(f, rules);
  RecommendationRules(input, f, rules);
  return out;
}

}  // namespace weir
