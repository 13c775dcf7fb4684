// What the rules of a report share: the facts they read and the list they write to.
//
// Owns      nothing: facts and findings outlive a rule
// Threads   pure functions
#pragma once

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "perf/report/evidence.h"
#include "perf/report/findings.h"
#include "perf/report/report.h"

namespace weir {

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
                          {"remeasured", nullptr},
                          {"trial", nullptr}});
  }
  void Silent(const char* rule, const char* why) { out_->silent.push_back({{"rule", rule}, {"why", why}}); }
  Json& last() { return out_->list.back(); }
  // What `weir run --try` does about the last recommendation, and which figure of what it does is held against `from`.
  void LastCanBeTried(Json trial, const char* metric, std::optional<double> from) {
    last()["trial"] = std::move(trial);
    last()["expected"] = {
        {"metric", metric}, {"from", NumberOrNull(from)}, {"to", nullptr}, {"formula", "not predicted"}};
  }
  bool Has(std::string_view rule) const {
    return std::any_of(out_->list.begin(), out_->list.end(),
                       [&](const Json& finding) { return finding["rule"] == rule; });
  }
  // A finding of another rule whose name begins so.
  bool HasOther(std::string_view prefix, std::string_view but) const {
    return std::any_of(out_->list.begin(), out_->list.end(), [&](const Json& finding) {
      const auto& rule = finding["rule"].get_ref<const std::string&>();
      return rule.starts_with(prefix) && rule != but;
    });
  }

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

// Each judges what its name says and adds what holds; a rule without data is silent.
void BenchmarkRules(const Facts& facts, Rules& rules);
// `section`: "load_before" or "load_after".
void LoadRules(const Facts& facts, const LadderStep& step, const char* section, Rules& rules);
// Those that read the server's own account of each request.
void LedgerRules(const LadderStep& step, const char* section, Rules& rules);
void RecommendationRules(const ReportInput& input, const Facts& facts, Rules& rules);
// What the waterfall of the step `which` ("before", "after") asks for; `causes` are its bars.
void CauseRecommendations(const std::string& which, const Json& causes, const Facts& facts, Rules& rules);

// Last: where nothing else is recommended, that is said.
void NoChangeRule(const Facts& facts, Rules& rules);

}  // namespace weir
