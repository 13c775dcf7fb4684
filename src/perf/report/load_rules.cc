#include <fmt/format.h>

#include <cmath>
#include <map>
#include <string>

#include "perf/report/number_format.h"
#include "perf/report/rule_book.h"

namespace weir {
namespace {

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

// REC-12: prompts begin alike, and the server computes every one anew.
void SharedPromptRule(const LadderStep& step, Rules& rules) {
  constexpr double kSharedWorthIt = 0.30, kNoHits = 0.01;
  const auto expected = NumberAt(step.document, "/dataset/expected_cache_ratio");
  const auto hits = NumberAt(step.document, "/results/0/server/prefix_hit_ratio");
  if (!expected || *expected < kSharedWorthIt) return;
  if (!hits) {
    rules.Silent("REC-12", "the server does not say how much of its prompts it knew");
    return;
  }
  if (*hits > kNoHits) return;
  rules.Add("REC-12", "recommendation", "recommendations",
            fmt::format("Enable the prefix cache: {} of the prompts' tokens are shared and need no prefill.",
                        FormatPercent(std::round(*expected * 1000) / 1000)),
            Json::array({Evidence(step.file, "/dataset/expected_cache_ratio", step.document),
                         Evidence(step.file, "/results/0/server/prefix_hit_ratio", step.document)}));
  rules.last()["priority"] = "P1";
  rules.LastCanBeTried({{"server_flags", {"--prefix-cache", "on"}}}, "output_tps",
                       NumberAt(step.document, "/results/0/output_tps"));
}

}  // namespace

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
  SharedPromptRule(step, rules);
  if (shed && sent && *shed > 0) {
    rules.Add("OBS-11", "observation", section,
              fmt::format("{} of {} were refused with Retry-After, p99 in {}: control, not failure.",
                          FormatNumber(*shed), FormatNumber(*sent),
                          FormatMilliseconds(value("/shed_response_ms/p99"))),
              rules.FromStep(step, {"/counts/shed", "/shed_response_ms/p99"}));
  }
}

}  // namespace weir
