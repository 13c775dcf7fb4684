// Rules that read the server's own account of each request, which the records hold.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "perf/report/number_format.h"
#include "perf/report/rule_book.h"
#include "perf/statistics/departed_work.h"
#include "perf/statistics/long_gaps.h"

namespace weir {
namespace {

constexpr double kWorthTelling = 0.05;  // of the engine's tokens
constexpr double kLongTail = 3;         // p99 over p50
constexpr double kMostly = 0.80;

Json FromRecords(const LadderStep& step, const char* fields, Json value) {
  return Json::array({Json{
      {"file", step.file}, {"pointer", std::string("requests: ") + fields}, {"value", std::move(value)}}});
}

// Timeouts that the server's own ledgers place: was the request waiting or running when its client gave up?
void TimeoutRule(const LadderStep& step, const char* section, Rules& rules) {
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
        "OBS-13", "observation", section,
        fmt::format("Requests time out while waiting, not while running: {} of {} were still queued when "
                    "their client left.",
                    queued, timeouts),
        Json::array({Json{
            {"file", step.file}, {"pointer", "requests: server.ledger_ms.queue_*"}, {"value", queued}}}));
  }
}

// OBS-15
void DepartedWorkRule(const LadderStep& step, const char* section, Rules& rules) {
  const DepartedWork work = WorkForDeparted(step.records);
  if (work.ratio() < kWorthTelling) {
    if (work.num_unknown > 0) {
      rules.Silent("OBS-15", "the server's ledgers of some requests whose clients left are missing");
    }
    return;
  }
  const double ratio = std::round(work.ratio() * 1000) / 1000;
  rules.Add("OBS-15", "observation", section,
            fmt::format("{}{} of the engine's tokens were computed for clients that had left.",
                        work.num_unknown > 0 ? "At least " : "", FormatPercent(ratio)),
            FromRecords(step, "server.clock, server.prompt_tokens, server.output_tokens, done_ms", ratio));
}

// OBS-17, and what it asks for: steps that hold fewer prompt tokens (REC-08).
void LongGapsRule(const LadderStep& step, const char* section, Rules& rules) {
  const std::optional<LongGaps> gaps = FindLongGaps(step.records);
  if (!gaps || gaps->p50_ms <= 0 || gaps->p99_ms < kLongTail * gaps->p50_ms) return;
  if (gaps->prefill_ratio < kMostly) return;
  const Json evidence = FromRecords(
      step, "token_times_ms, server.clock",
      {{"p50_ms", gaps->p50_ms}, {"p99_ms", gaps->p99_ms}, {"prefill_ratio", gaps->prefill_ratio}});
  rules.Add(
      "OBS-17", "observation", section,
      fmt::format("Long gaps come from others' prompts: {} of the longest 1 % hold some, {} on average, the "
                  "median gap has {}.",
                  FormatPercent(std::round(gaps->prefill_ratio * 100) / 100),
                  FormatMilliseconds(gaps->mean_ms), FormatMilliseconds(gaps->p50_ms)),
      evidence);
  // Gaps within what the operator asked for need no remedy.
  const auto bound_ms = NumberAt(step.document, "/server_version/itl_objective_ms");
  if (!bound_ms || *bound_ms <= gaps->p50_ms || gaps->prefill_token_ms <= 0) {
    rules.Silent("REC-08", "the server's objective for gaps, or what a prompt token costs it, is not known");
    return;
  }
  if (gaps->mean_ms <= *bound_ms) return;
  const double tokens = std::floor((*bound_ms - gaps->p50_ms) / gaps->prefill_token_ms);
  rules.Add(
      "REC-08", "recommendation", "recommendations",
      fmt::format(
          "Let a step hold at most {} prompt tokens beside its decodes (--max-num-batched-tokens), so that "
          "it keeps the objective of {} (--itl-objective).",
          FormatNumber(std::max(1.0, tokens)), FormatMilliseconds(bound_ms)),
      evidence);
  rules.last()["priority"] = "P2";
  rules.LastCanBeTried({{"server_flags", {"--max-num-batched-tokens", FormatNumber(std::max(1.0, tokens))}}},
                       "itl_p99_ms", NumberAt(step.document, "/results/0/itl_ms/p99"));
}

}  // namespace

void LedgerRules(const LadderStep& step, const char* section, Rules& rules) {
  TimeoutRule(step, section, rules);
  DepartedWorkRule(step, section, rules);
  LongGapsRule(step, section, rules);
}

}  // namespace weir
