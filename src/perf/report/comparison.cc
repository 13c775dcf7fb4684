#include "perf/report/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "perf/report/comparison_metrics.h"
#include "perf/report/evidence.h"
#include "perf/statistics/mann_whitney.h"

namespace weir {
namespace {

constexpr size_t kFewestRuns = 4;  // below, no result could reach p < 0.05
constexpr double kAlpha = 0.05;

// Parameters that may differ between two runs of the same test.
constexpr std::string_view kFree[] = {"url", "model", "repeats", "duration_s"};

std::string Shown(const Json* value) {
  const std::string text = value == nullptr ? "absent" : DumpJson(*value);
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

void AddDifference(const Json& a, const Json& b, std::initializer_list<std::string_view> path,
                   const std::string& what, std::vector<std::string>* out) {
  const Json* one = FindJson(a, path);
  const Json* other = FindJson(b, path);
  if (one == nullptr && other == nullptr) return;
  if (one != nullptr && other != nullptr && *one == *other) return;
  out->push_back(fmt::format("{} {} and {}", what, Shown(one), Shown(other)));
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

// One metric, both sides.
struct Judged {
  ComparedMetric a, b;
  std::optional<double> scale;  // what a shift is a ratio of
  double p = 1, corrected = 1;
  std::optional<Shift> shift;
  bool usable() const { return a.values.size() >= kFewestRuns && b.values.size() >= kFewestRuns; }
};

Judged Judge(const ComparedMetric& a, const ComparedMetric& b) {
  Judged out{a, b, std::nullopt, 1, 1, std::nullopt};
  if (a.values.empty() || b.values.empty()) return out;
  out.p = MannWhitneyP(a.values, b.values);
  out.shift = HodgesLehmannShift(a.values, b.values);
  const double median = Median(a.values);
  if (a.is_share) {
    out.scale = 1;
  } else if (median != 0) {
    out.scale = std::fabs(median);
  }
  return out;
}

std::string VerdictOf(const Judged& judged, double min_effect) {
  if (judged.a.values.empty() || judged.b.values.empty()) return "not measured";
  if (!judged.usable()) return "too few runs";
  if (!judged.scale || judged.corrected >= kAlpha) return "no change found";
  const double shift = judged.shift->median / *judged.scale;
  if (std::fabs(shift) < min_effect) return "no change found";
  return (shift > 0) == judged.a.higher_is_better ? "better" : "worse";
}

// How much worse B may be without contradicting the runs: the bad end of the interval; 0 when that is no loss.
std::optional<double> LargestLoss(const Judged& judged) {
  if (!judged.shift || !judged.shift->interval95 || !judged.scale) return std::nullopt;
  const Interval& interval = *judged.shift->interval95;
  return std::max(0.0, judged.a.higher_is_better ? -interval.low : interval.high) / *judged.scale;
}

Json MetricJson(const Judged& judged, double min_effect) {
  const auto median = [](const std::vector<double>& values) {
    return values.empty() ? Json(nullptr) : Json(Median(values));
  };
  const bool has_shift = judged.shift && judged.scale;
  Json json;
  json["metric"] = judged.a.name;
  json["formula"] = judged.a.formula.empty() ? Json(nullptr) : Json(judged.a.formula);
  json["unit"] = judged.a.unit;
  json["better"] = judged.a.higher_is_better ? "higher" : "lower";
  json["a_values"] = judged.a.values;
  json["b_values"] = judged.b.values;
  json["num_void"] = judged.a.num_void + judged.b.num_void;
  json["a_median"] = median(judged.a.values);
  json["b_median"] = median(judged.b.values);
  json["shift_ratio"] = has_shift ? Json(judged.shift->median / *judged.scale) : Json(nullptr);
  json["shift_ratio_ci95"] = has_shift && judged.shift->interval95
                                 ? Json::array({judged.shift->interval95->low / *judged.scale,
                                                judged.shift->interval95->high / *judged.scale})
                                 : Json(nullptr);
  json["p"] = judged.usable() ? Json(judged.p) : Json(nullptr);
  json["p_corrected"] = judged.usable() ? Json(judged.corrected) : Json(nullptr);
  json["verdict"] = VerdictOf(judged, min_effect);
  json["largest_loss_ratio"] = NumberOrNull(LargestLoss(judged));
  return json;
}

std::vector<Judged> JudgeAll(const ComparisonSide& a, const ComparisonSide& b) {
  const std::vector<ComparedMetric> ours = MetricsOf(a), theirs = MetricsOf(b);
  std::vector<Judged> all;
  std::vector<double> p;
  for (const ComparedMetric& metric : ours) {
    const auto same = std::find_if(theirs.begin(), theirs.end(),
                                   [&](const ComparedMetric& other) { return other.name == metric.name; });
    if (same == theirs.end()) continue;
    all.push_back(Judge(metric, *same));
    if (all.back().usable()) p.push_back(all.back().p);
  }
  const std::vector<double> corrected = HolmCorrect(p);
  size_t next = 0;
  for (Judged& judged : all) {
    if (judged.usable()) judged.corrected = corrected[next++];
  }
  return all;
}

Json SideJson(const ComparisonSide& side) {
  Json runs = Json::array();
  for (const Json& document : side.documents) {
    runs.push_back({{"run_id", StringAt(document, "/run_id").value_or("")},
                    {"verdict", StringAt(document, "/validity/verdict").value_or("")}});
  }
  return {{"name", side.name}, {"runs", std::move(runs)}};
}

int NumInvalid(const ComparisonSide& side) {
  return static_cast<int>(std::count_if(
      side.documents.begin(), side.documents.end(),
      [](const Json& document) { return StringAt(document, "/validity/verdict") == "INVALID"; }));
}

struct Conclusion {
  std::string verdict, reason;
};

Conclusion Conclude(const ComparisonSide& a, const ComparisonSide& b, const Json& metrics,
                    const ComparisonOptions& options) {
  if (const int bad_a = NumInvalid(a), bad_b = NumInvalid(b); bad_a + bad_b > 0) {
    return {"invalid", fmt::format("{} of {} runs of A and {} of {} runs of B are INVALID", bad_a,
                                   a.documents.size(), bad_b, b.documents.size())};
  }
  std::string worse, few, open;
  const auto append = [](std::string* list, const std::string& name) {
    *list += (list->empty() ? "" : ", ") + name;
  };
  for (const Json& metric : metrics) {
    const std::string name = metric["metric"].get<std::string>();
    const std::string verdict = metric["verdict"].get<std::string>();
    if (verdict == "worse") append(&worse, name);
    if (verdict == "too few runs" || verdict == "not measured") append(&few, name);
    const auto loss = JsonNumber(&metric["largest_loss_ratio"]);
    if (!loss || *loss > options.min_effect_ratio) append(&open, name);
  }
  if (!worse.empty()) return {"worse", worse};
  if (metrics.empty()) return {"inconclusive", "the sides have no metric in common"};
  if (!few.empty()) {
    return {"inconclusive",
            fmt::format("{}: fewer than {} runs on a side, which cannot prove anything", few, kFewestRuns)};
  }
  if (options.strict && !open.empty()) {
    return {"inconclusive",
            fmt::format("{}: a loss beyond {:.3g} % is not excluded", open, options.min_effect_ratio * 100)};
  }
  return {"not worse", ""};
}

}  // namespace

std::vector<std::string> DifferencesOf(const Json& a, const Json& b) {
  std::vector<std::string> out;
  AddDifference(a, b, {"kind"}, "kind", &out);
  const Json* hash_a = FindJson(a, {"model", "sha256"});
  const Json* hash_b = FindJson(b, {"model", "sha256"});
  const bool hashed = hash_a != nullptr && hash_b != nullptr && hash_a->is_string() && hash_b->is_string();
  AddDifference(a, b, {"model", hashed ? "sha256" : "name"}, hashed ? "model hash" : "model", &out);
  for (const std::string_view key : {"cpu_model", "isa", "logical_cores", "threads"}) {
    AddDifference(a, b, {"environment", key}, "machine: " + std::string(key), &out);
  }
  const Json* parameters = FindJson(a, {"parameters"});
  const Json* others = FindJson(b, {"parameters"});
  if (parameters == nullptr || others == nullptr || !parameters->is_object() || !others->is_object())
    return out;
  Json keys = *parameters;
  for (const auto& [key, value] : others->items()) keys[key] = value;
  for (const auto& [key, value] : keys.items()) {
    if (std::find(std::begin(kFree), std::end(kFree), key) != std::end(kFree)) continue;
    AddDifference(*parameters, *others, {key}, "parameter " + key, &out);
  }
  return out;
}

Result<Json> CompareSides(const ComparisonSide& a, const ComparisonSide& b,
                          const ComparisonOptions& options) {
  if (a.documents.empty() || b.documents.empty())
    return InvalidArgument("a side has no result file, expected at least one");
  Json differences = Json::array();
  const auto against_first = [&](const ComparisonSide& side) -> Status {
    for (const Json& document : side.documents) {
      const std::vector<std::string> found = DifferencesOf(a.documents.front(), document);
      if (found.empty()) continue;
      if (!options.force) {
        return InvalidArgument(
            fmt::format("the runs are not comparable: {} ('{}' against '{}'){}; --force compares them anyway",
                        found.front(), a.name, side.name,
                        found.size() > 1 ? fmt::format(" and {} more differences", found.size() - 1) : ""));
      }
      for (const std::string& difference : found) {
        if (std::find(differences.begin(), differences.end(), difference) == differences.end())
          differences.push_back(difference);
      }
    }
    return OkStatus();
  };
  WEIR_RETURN_IF_ERROR(against_first(a));
  WEIR_RETURN_IF_ERROR(against_first(b));
  Json metrics = Json::array();
  for (const Judged& judged : JudgeAll(a, b)) metrics.push_back(MetricJson(judged, options.min_effect_ratio));
  const Conclusion conclusion = Conclude(a, b, metrics, options);
  Json out;
  out["sides"] = {{"a", SideJson(a)}, {"b", SideJson(b)}};
  out["min_effect_ratio"] = options.min_effect_ratio;
  out["forced_differences"] = std::move(differences);
  out["metrics"] = std::move(metrics);
  out["verdict"] = conclusion.verdict;
  out["reason"] = conclusion.reason;
  return out;
}

}  // namespace weir
