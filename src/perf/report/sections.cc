#include "perf/report/sections.h"

#include <fmt/format.h>

#include <cmath>

#include "perf/report/attribution.h"
#include "perf/report/evidence.h"
#include "perf/report/number_format.h"
#include "perf/report/section_parts.h"

namespace weir {
namespace {

ReportSection System(const Json& report) {
  ReportSection out{"1. System configuration", {}};
  const Json* document = &report["benchmark"];
  if (document->is_null() && !report["load_tests"].empty()) document = &report["load_tests"][0]["document"];
  const Json& d = *document;
  std::vector<Row> rows = {
      {"Model", fmt::format("{} ({}, {} of weights)", Text(d, "/model/name"), Text(d, "/model/weight_format"),
                            Bytes(d, "/model/weight_bytes"))},
      {"Processor", fmt::format("{}, {} cores, kernels: {}", Text(d, "/environment/cpu_model"),
                                Number(d, "/environment/logical_cores"), Text(d, "/environment/isa"))},
      {"GPU", "none used"},
      {"Memory", Bytes(d, "/environment/memory_bytes")},
      {"Threads", Number(d, "/environment/threads")},
      {"Version", fmt::format("weir {} ({})", Text(d, "/tool/version"), Text(d, "/tool/commit"))},
      {"Memory utilisation", Percent(d, "/parameters/memory_utilization")},
      {"Max model length", Number(d, "/parameters/max_model_len")},
  };
  if (const auto bandwidth = NumberAt(d, "/environment/limits/read_bandwidth_bytes_per_s")) {
    rows.push_back(
        {"Measured limits",
         fmt::format("{}/s read, {} GMAC/s int8, {} GMAC/s fp32", FormatBytes(bandwidth),
                     FormatNumber(NumberAt(d, "/environment/limits/int8_mac_per_s").value_or(0) / 1e9),
                     FormatNumber(NumberAt(d, "/environment/limits/fp32_mac_per_s").value_or(0) / 1e9))});
  }
  rows.push_back({"Verdict", Text(report, "/validity/verdict")});
  out.blocks.push_back(Table({"Item", "Value"}, std::move(rows)));
  return out;
}

ReportSection Executive(const Json& report) {
  ReportSection out{"2. Executive summary", {}};
  std::vector<Row> rows;
  for (const Json& row : report["summary"]) {
    std::string metric = Text(row, "/metric");
    for (char& c : metric) c = c == '_' ? ' ' : c;
    const std::string formula = StringAt(row, "/formula").value_or("");
    rows.push_back({metric + (formula.empty() ? "" : " (" + formula + ")"), ByUnit(row, "direct"),
                    ByUnit(row, "api_before"), ByUnit(row, "api"), StringAt(row, "/status").value_or("")});
  }
  out.blocks.push_back(
      Table({"Metric", "Direct", "API before", "API after", "Status (after)"}, std::move(rows)));
  out.blocks.push_back(Paragraph("Key finding: " + KeyFinding(report)));
  out.blocks.push_back(Chart("ladder"));
  return out;
}

ReportSection Comparison(const Json& report) {
  ReportSection out{"5. Comparative analysis", {}};
  std::vector<Row> rows;
  for (const Json& row : report["comparison"]) {
    const std::string step = StringAt(row, "/step").value_or("");
    if (!step.empty() && step != "A" && step != "E") continue;
    const std::string metric = Text(row, "/metric");
    const auto cell = [&](const char* column) {
      const auto value = NumberAt(row, column);
      if (metric == "success") return FormatPercent(value);
      if (metric.ends_with("_ms")) return FormatMilliseconds(value);
      return FormatNumber(value);
    };
    rows.push_back({step == "A"   ? "before"
                    : step == "E" ? "after"
                                  : "load",
                    metric, Text(row, "/formula"), cell("/direct"), cell("/api"),
                    NumberAt(row, "/ratio") ? FormatRatio(NumberAt(row, "/ratio")) : "–"});
  }
  out.blocks.push_back(Table({"Server", "Metric", "Formula", "Direct", "API", "Ratio"}, std::move(rows)));
  out.blocks.push_back(Paragraph("Why the gap?"));
  out.blocks.push_back(Chart("slot_time"));
  out.blocks.push_back(Chart("waterfall_before"));
  out.blocks.push_back(Chart("waterfall_after"));
  AddFindings(report, "before", "cause", &out);
  AddFindings(report, "after", "cause", &out);
  for (const char* which : {"before", "after"}) {
    const Json* attribution = FindJson(report, {"attribution", which});
    if (attribution == nullptr || attribution->is_null()) continue;
    const bool turns = NumberAt(*attribution, "/turns/used").has_value();
    out.blocks.push_back(Paragraph(fmt::format(
        "{}{}: {} tok/s direct at {} in flight, {} through the API; what no cause claims "
        "is {} of the slot time (bound {}), {}.",
        which == std::string("before") ? "Before" : "After",
        turns ? fmt::format(", in {} short turns of the engine and the server, of which the middle {} "
                            "count",
                            Number(*attribution, "/turns/measured"), Number(*attribution, "/turns/used"))
              : "",
        Number(*attribution, "/direct_tps"), Number(*attribution, "/concurrency"),
        Number(*attribution, "/api_tps"), Percent(*attribution, "/residual_ratio"),
        Percent(*attribution, "/bound_ratio"), Text(*attribution, "/verdict"))));
    std::vector<Row> rows_of_causes;
    double sum = 0;
    for (const Json& cause : (*attribution)["causes"]) {
      const double tps = NumberAt(cause, "/tps").value_or(0);
      sum += tps;
      rows_of_causes.push_back(
          {CauseInWords(Text(cause, "/cause")) + (cause["modelled"] == true ? " (modelled)" : ""),
           fmt::format("{:.3f}", NumberAt(cause, "/slot_ms_per_token").value_or(0)),
           std::fabs(tps) < kNothingTps ? "0" : FormatNumber(tps), Percent(cause, "/share_ratio")});
    }
    rows_of_causes.push_back({"sum", "", FormatNumber(sum), ""});
    out.blocks.push_back(
        Table({"Cause", "ms of slot time per token (ATT-1)", "tok/s (ATT-2)", "Share of the gap"},
              std::move(rows_of_causes)));
  }
  return out;
}

ReportSection Recommendations(const Json& report) {
  ReportSection out{"6. Recommendations", {}};
  std::vector<Row> rows;
  for (const Json& finding : report["findings"]) {
    if (StringAt(finding, "/kind") != "recommendation") continue;
    const std::string metric = StringAt(finding, "/expected/metric").value_or("");
    const auto format = [&](const std::string& pointer) {
      const auto value = NumberAt(finding, pointer);
      if (!value) return std::string("–");
      if (metric.ends_with("_ms")) return FormatMilliseconds(value);
      return metric.ends_with("_ratio") ? FormatPercent(std::round(*value * 1000) / 1000)
                                        : FormatNumber(value) + " tok/s";
    };
    rows.push_back({StringAt(finding, "/priority").value_or("–"), Text(finding, "/text"),
                    format("/expected/from") + " → " + format("/expected/to"), format("/remeasured/to"),
                    StringAt(finding, "/remeasured/verdict").value_or("not run"), Text(finding, "/rule")});
  }
  if (rows.empty()) {
    out.blocks.push_back(Paragraph("No rule fired."));
  } else {
    out.blocks.push_back(
        Table({"Priority", "Action", "Expected", "Re-measured", "Verdict", "Rule"}, std::move(rows)));
  }
  return out;
}

ReportSection Future(const Json& report) {
  ReportSection out{"7. The study's future tests, run", {}};
  std::vector<Row> rows;
  for (const Json& test : report["future_tests"])
    rows.push_back({Text(test, "/id"), Text(test, "/question"), Text(test, "/answer")});
  out.blocks.push_back(Table({"Test", "Question", "Answer"}, std::move(rows)));
  return out;
}

ReportSection BeforeAfter(const Json& report) {
  ReportSection out{"8. Before and after", {}};
  std::vector<Row> rows;
  for (const Json& step : report["ladder"]) {
    rows.push_back({fmt::format("{} {}", Text(step, "/step"), Text(step, "/title")),
                    Joined(step["server_flags"]), Number(step, "/timeout_s") + " s",
                    NumberAt(step, "/predicted/ok") ? Number(step, "/predicted/ok") + " ok, " +
                                                          FormatRatio(NumberAt(step, "/predicted/gap_1"))
                                                    : "–",
                    fmt::format("{} ok, {} failed, {} refused", Number(step, "/measured/ok"),
                                Number(step, "/measured/failed"), Number(step, "/measured/shed")),
                    Number(step, "/measured/output_tps"), FormatRatio(NumberAt(step, "/measured/gap_1")),
                    Ms(step, "/measured/e2el_with_failed_p95_ms"), Text(step, "/measured/verdict")});
  }
  if (rows.empty()) {
    out.blocks.push_back(Paragraph("No ladder was run; 'weir run' measures it."));
  } else {
    out.blocks.push_back(Table({"Step", "Server flags", "Timeout", "Predicted", "Measured", "tok/s", "GAP-1",
                                "p95 of E2EL-4", "Verdict"},
                               std::move(rows)));
  }
  out.blocks.push_back(
      Paragraph(fmt::format("Against the reference study ({}). Ratios and shares compare; absolute numbers "
                            "belong to another machine.",
                            Text(report, "/reference_name"))));
  rows.clear();
  for (const Json& row : report["reference"]) {
    rows.push_back({Text(row, "/metric"), Number(row, "/ours"), Number(row, "/reference"),
                    NumberAt(row, "/other_machine") ? Number(row, "/other_machine") + " tok/s" : "–"});
  }
  out.blocks.push_back(Table({"Metric", "Here", "Reference study", "Other machine"}, std::move(rows)));
  out.blocks.push_back(
      Paragraph("The broken mode reproduces the class of the study's failure (an API far below its engine, "
                "nearly all loss in timeouts) by the "
                "causes the study names. It does not reproduce its 44 %: waiting in order cannot produce "
                "those figures, since successes would "
                "then show the wait, and the study's successes took no longer than a request alone."));
  return out;
}

ReportSection Appendix(const Json& report) {
  ReportSection out{"9. Appendix", {}};
  std::vector<Row> files;
  for (const Json& source : report["sources"])
    files.push_back({Text(source, "/file"), Text(source, "/kind"), Text(source, "/sha256")});
  if (!files.empty()) out.blocks.push_back(Table({"File", "Kind", "SHA-256"}, std::move(files)));
  out.blocks.push_back({ReportBlock::kCode, Joined(report["command"]), {}, {}});
  std::vector<Row> checks;
  const auto add_checks = [&](const std::string& name, const Json& document) {
    const Json* list = FindJson(document, {"validity", "checks"});
    if (list == nullptr || !list->is_array()) return;
    for (const Json& check : *list) {
      if (StringAt(check, "/verdict") == "VALID") continue;
      checks.push_back(
          {name, Text(check, "/id"), Text(check, "/verdict"), StringAt(check, "/reason").value_or("")});
    }
  };
  if (!report["benchmark"].is_null()) add_checks("benchmark", report["benchmark"]);
  for (const Json& load : report["load_tests"]) add_checks(Text(load, "/step"), load["document"]);
  add_checks("attribution", report);
  if (!checks.empty()) out.blocks.push_back(Table({"Run", "Check", "Verdict", "Reason"}, std::move(checks)));
  std::vector<Row> silent;
  for (const Json& rule : report["silent_rules"]) silent.push_back({Text(rule, "/rule"), Text(rule, "/why")});
  if (!silent.empty()) out.blocks.push_back(Table({"Rule that stayed silent", "Why"}, std::move(silent)));
  out.blocks.push_back(
      Paragraph("Formulas: THR-OUT-1 output tokens of ok requests ÷ first send to last done; THR-OUT-2 "
                "tokens ÷ steady window; E2EL-1 done − send; "
                "E2EL-4 the same with failures at max(elapsed, timeout); TTFT-1 first token − send; TPOT-1 "
                "(last − first token)/(n − 1); "
                "SUC-1 ok ÷ (ok + failed + refused); GAP-1 direct at its best batch ÷ API; GAP-2 both at the "
                "same number in flight."));
  return out;
}

}  // namespace

std::string KeyFinding(const Json& report) {
  const auto gap = [&](const char* step) -> std::optional<double> {
    for (const Json& row : report["comparison"]) {
      if (StringAt(row, "/step") == step && StringAt(row, "/formula") == "GAP-1")
        return NumberAt(row, "/ratio");
    }
    return std::nullopt;
  };
  const auto before = gap("A"), after = gap("E");
  if (before && after) {
    return fmt::format("the same engine is {} as fast as its broken API and {} as fast as its repaired one.",
                       FormatRatio(before), FormatRatio(after));
  }
  for (const Json& root : report["root_causes"]) {
    if (!root["causes"].empty()) return Text(root["causes"][0], "/text");
  }
  for (const char* kind : {"cause", "observation"}) {
    for (const Json& finding : report["findings"]) {
      if (StringAt(finding, "/kind") == kind) return Text(finding, "/text");
    }
  }
  return "no rule fired.";
}

std::vector<ReportSection> BuildSections(const Json& report) {
  return {System(report),          Executive(report),   BenchmarkSection(report),
          LoadTestSection(report), Comparison(report),  Recommendations(report),
          Future(report),          BeforeAfter(report), Appendix(report)};
}

}  // namespace weir
