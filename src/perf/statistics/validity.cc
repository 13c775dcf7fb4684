#include "perf/statistics/validity.h"

#include <fmt/format.h>

#include <algorithm>

namespace weir {
namespace {

constexpr std::string_view kLatency[] = {
    "ttft_ms", "ttft_from_intended_ms", "e2el_ms",  "e2el_from_intended_ms", "e2el_with_failed_ms",
    "tpot_ms", "tpot_with_first_ms",    "queue_ms", "client_queue_ms",
};
constexpr std::string_view kGaps[] = {"itl_ms", "itl_max_ms", "icl_ms"};
constexpr std::string_view kSteady[] = {"output_tps_steady", "total_tps_steady", "requests_per_s_steady"};
constexpr std::string_view kLimit[] = {"limit"};
constexpr std::string_view kMatrixLimit[] = {"share_pp_ratio", "share_tg_ratio", "share_int8_pp_ratio",
                                             "share_tile_pp_ratio", "share_int8_tg_ratio"};
constexpr std::string_view kStep[] = {"step"};
constexpr std::string_view kAttribution[] = {"attribution"};

std::vector<std::string_view> MembersOf(std::string_view scope, bool in_matrix) {
  const auto list = [](const auto& members) {
    return std::vector<std::string_view>(std::begin(members), std::end(members));
  };
  if (in_matrix && scope == "limit") return list(kMatrixLimit);
  if (in_matrix && scope != "step") return {};
  if (scope == "latency") return list(kLatency);
  if (scope == "itl") return list(kGaps);
  if (scope == "steady") return list(kSteady);
  if (scope == "limit") return list(kLimit);
  if (scope == "step") return list(kStep);
  if (scope == "attribution") return list(kAttribution);
  return {};
}

// Which stage a check judges, when there are several.
std::string RowName(const Json& checks, const Json& check) {
  const auto row = JsonNumber(FindJson(check, {"row"}));
  if (!row) return "";
  for (const Json& other : checks) {
    if (const auto its = JsonNumber(FindJson(other, {"row"})); its && *its != *row)
      return fmt::format("stage {:.0f}: ", *row + 1);
  }
  return "";
}

Json NumberOrNull(const std::optional<double>& number) { return number ? Json(*number) : Json(nullptr); }

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kValid:
      return "VALID";
    case Verdict::kWarn:
      return "WARN";
    case Verdict::kInvalid:
      return "INVALID";
  }
  return "";
}

void Validity::AddAbove(std::string id, std::string scope, double value, std::optional<double> warn,
                        std::optional<double> invalid, std::string reason) {
  const Verdict verdict = invalid && value > *invalid ? Verdict::kInvalid
                          : warn && value > *warn     ? Verdict::kWarn
                                                      : Verdict::kValid;
  checks_.push_back(
      {std::move(id), std::move(scope), value, warn, invalid, verdict, std::move(reason), row_});
}

void Validity::AddBelow(std::string id, std::string scope, double value, std::optional<double> warn,
                        std::optional<double> invalid, std::string reason) {
  const Verdict verdict = invalid && value < *invalid ? Verdict::kInvalid
                          : warn && value < *warn     ? Verdict::kWarn
                                                      : Verdict::kValid;
  checks_.push_back(
      {std::move(id), std::move(scope), value, warn, invalid, verdict, std::move(reason), row_});
}

Verdict Validity::verdict() const {
  Verdict out = Verdict::kValid;
  for (const ValidityCheck& check : checks_) {
    if (check.verdict == Verdict::kInvalid && check.scope == "run") return Verdict::kInvalid;
    if (check.verdict != Verdict::kValid) out = Verdict::kWarn;
  }
  return out;
}

Json Validity::ToJson() const {
  Json checks = Json::array();
  for (const ValidityCheck& check : checks_) {
    checks.push_back({{"id", check.id},
                      {"value", check.value},
                      {"warn_limit", NumberOrNull(check.warn_limit)},
                      {"invalid_limit", NumberOrNull(check.invalid_limit)},
                      {"verdict", VerdictName(check.verdict)},
                      {"scope", check.scope},
                      {"reason", check.reason}});
    if (check.row >= 0) checks.back()["row"] = check.row;
  }
  return {{"verdict", VerdictName(verdict())}, {"checks", std::move(checks)}};
}

Json Validity::VoidPointers(size_t num_results, size_t num_matrix_rows) const {
  Json pointers = Json::array();
  const auto add = [&](const std::string& pointer) {
    if (std::find(pointers.begin(), pointers.end(), pointer) == pointers.end()) pointers.push_back(pointer);
  };
  for (const ValidityCheck& check : checks_) {
    if (check.verdict != Verdict::kInvalid) continue;
    if (check.scope == "run") add("/results");
    for (const auto& [list, rows] : {std::pair{"results", num_results}, {"matrix", num_matrix_rows}}) {
      for (size_t row = 0; row < rows; ++row) {
        if (check.row >= 0 && check.row != static_cast<int>(row)) continue;
        for (const std::string_view member : MembersOf(check.scope, list == std::string_view("matrix"))) {
          add(fmt::format("/{}/{}/{}", list, row, member));
        }
      }
    }
  }
  return pointers;
}

void Validity::AddPercentileCounts(int64_t count, const std::string& prefix) {
  std::string names;
  for (const auto& [name, needed] : {std::pair{"p90", 10}, {"p95", 20}, {"p99", 100}}) {
    if (count < needed) names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
  }
  AddBelow("V-10", "latency", static_cast<double>(count), 100, std::nullopt,
           fmt::format("{}{} of {} values {} the maximum", prefix, names.empty() ? "p99" : names, count,
                       names.empty() ? "is below" : "may equal"));
}

std::string Validity::Line(const Json& validity) {
  const std::string word = JsonString(FindJson(validity, {"verdict"})).value_or("");
  const Json* checks = FindJson(validity, {"checks"});
  if (word != "INVALID" || checks == nullptr || !checks->is_array()) return word;
  std::string reasons;
  for (const Json& check : *checks) {
    if (JsonString(FindJson(check, {"verdict"})).value_or("") != "INVALID") continue;
    reasons += fmt::format("{}{} {}{}", reasons.empty() ? "" : "; ",
                           JsonString(FindJson(check, {"id"})).value_or(""), RowName(*checks, check),
                           JsonString(FindJson(check, {"reason"})).value_or(""));
  }
  return fmt::format("{}({})", word, reasons);
}

std::vector<std::string> Validity::Warnings(const Json& validity) {
  std::vector<std::string> lines;
  const Json* checks = FindJson(validity, {"checks"});
  if (checks == nullptr || !checks->is_array()) return lines;
  const bool invalid = JsonString(FindJson(validity, {"verdict"})).value_or("") == "INVALID";
  for (const Json& check : *checks) {
    const std::string its = JsonString(FindJson(check, {"verdict"})).value_or("");
    // What made the run INVALID stands in the verdict's own line already.
    if (its == "VALID" || (its == "INVALID" && invalid)) continue;
    lines.push_back(fmt::format(
        "{} {}: {}{}{}", its, JsonString(FindJson(check, {"id"})).value_or(""), RowName(*checks, check),
        JsonString(FindJson(check, {"reason"})).value_or(""),
        its == "INVALID" ? fmt::format(" (voids {})", JsonString(FindJson(check, {"scope"})).value_or(""))
                         : ""));
  }
  return lines;
}

}  // namespace weir
