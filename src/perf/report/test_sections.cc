#include <fmt/format.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "perf/report/evidence.h"
#include "perf/report/number_format.h"
#include "perf/report/section_parts.h"

namespace weir {

ReportSection BenchmarkSection(const Json& report) {
  ReportSection out{"3. Test 1: direct benchmark", {}};
  const Json& bench = report["benchmark"];
  if (bench.is_null()) {
    out.blocks.push_back(Paragraph("Not run."));
    return out;
  }
  out.blocks.push_back(Paragraph(
      fmt::format("What the engine does without an API in front: {} prompts per row, {} output tokens each, "
                  "{} batches. Timed are scheduling, "
                  "prefill, decode and sampling; templates, tokenising, detokenising and HTTP are not.",
                  Number(bench, "/parameters/num_prompts"), Number(bench, "/parameters/max_tokens"),
                  StringAt(bench, "/results/0/batching").value_or("continuous"))));
  std::vector<Row> rows;
  for (const Json& row : bench["results"]) {
    rows.push_back(
        {Number(row, "/batch_size"), Number(row, "/requests_per_s_steady"), Number(row, "/output_tps_steady"),
         NumberAt(row, "/ci95/output_tps_steady/0")
             ? Number(row, "/ci95/output_tps_steady/0") + " – " + Number(row, "/ci95/output_tps_steady/1")
             : "–",
         Ms(row, "/e2el_ms/p50"), Ms(row, "/e2el_ms/p95"), Ms(row, "/e2el_ms/p99"), Ms(row, "/ttft_ms/p50"),
         Ms(row, "/tpot_ms/p50"), Number(row, "/limit/output_tps"), Percent(row, "/limit/share_ratio")});
  }
  out.blocks.push_back(Table({"Batch", "req/s", "tok/s (THR-OUT-2)", "95 % interval", "P50", "P95", "P99",
                              "TTFT p50", "TPOT p50", "limit tok/s", "share"},
                             std::move(rows)));
  out.blocks.push_back(Chart("scaling"));
  std::vector<Row> steps;
  for (const Json& row : bench["results"]) {
    const Json* segments = FindJson(row, {"step", "segments_ms"});
    if (segments == nullptr || !segments->is_object()) continue;
    Row cells = {Number(row, "/batch_size"), Number(row, "/step/count"), Ms(row, "/step/mean_ms")};
    std::string parts;
    for (const auto& [name, ms] : segments->items()) {
      // What rounds to nothing says nothing.
      if (const auto value = JsonNumber(&ms); value && *value >= 1e-4)
        parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", name, FormatMilliseconds(value));
    }
    cells.push_back(parts);
    steps.push_back(std::move(cells));
  }
  if (!steps.empty())
    out.blocks.push_back(Table({"Batch", "steps", "mean step", "of which"}, std::move(steps)));
  const Json& first = bench["results"][0];
  if (NumberAt(first, "/memory/process_bytes")) {
    const Json& last = bench["results"].back();
    out.blocks.push_back(
        Table({"Memory", "Bytes"}, {{"weights", Bytes(last, "/memory/weights_bytes")},
                                    {"KV pool, reserved", Bytes(last, "/memory/kv_pool_bytes")},
                                    {"KV pool, peak used", Bytes(last, "/memory/kv_peak_bytes")},
                                    {"process", Bytes(last, "/memory/process_bytes")}}));
  }
  AddFindings(report, "benchmark", "observation", &out);
  return out;
}

namespace {

void LoadBlocks(const Json& report, const Json& document, const std::string& heading,
                const std::string& findings, const std::string& chart, ReportSection* out) {
  const Json& row = document["results"][0];
  out->blocks.push_back(Paragraph(fmt::format(
      "{}: {} requests, {}, {} output tokens each, timeout {} s.", heading, Number(row, "/counts/sent"),
      NumberAt(row, "/concurrency") ? "concurrency " + Number(row, "/concurrency")
                                    : "rate " + Number(row, "/request_rate_per_s") + "/s",
      Number(document, "/parameters/max_tokens"), Number(row, "/timeout_s"))));
  out->blocks.push_back(Table(
      {"Result", "Value"},
      {{"ok / failed / refused", fmt::format("{} / {} / {}", Number(row, "/counts/ok"),
                                             Number(row, "/counts/failed"), Number(row, "/counts/shed"))},
       {"success rate (SUC-1)", Percent(row, "/success_ratio")},
       {"output throughput (THR-OUT-1)", Number(row, "/output_tps") + " tok/s"},
       {"requests per second (THR-REQ-1)", Number(row, "/requests_per_s")},
       {"duration (WIN-1)", Number(row, "/wall_s") + " s"},
       {"verdict", Text(document, "/validity/verdict")}}));
  const auto latency = [&](const char* name, const std::string& field) -> Row {
    const std::string p = "/" + field + "/";
    return {name,
            Ms(row, p + "min"),
            Ms(row, p + "p50"),
            Ms(row, p + "p90"),
            Ms(row, p + "p95"),
            Ms(row, p + "p99"),
            Ms(row, p + "max")};
  };
  std::vector<Row> rows = {latency("latency of successes (E2EL-1)", "e2el_ms"),
                           latency("latency with failures (E2EL-4)", "e2el_with_failed_ms"),
                           latency("time to first token (TTFT-1)", "ttft_ms"),
                           latency("time per output token (TPOT-1)", "tpot_ms")};
  if (NumberAt(row, "/counts/failed").value_or(0) == 0) rows.erase(rows.begin() + 1);
  out->blocks.push_back(
      Table({"Nearest-rank percentiles", "min", "P50", "P90", "P95", "P99", "max"}, std::move(rows)));
  std::vector<Row> errors;
  if (const Json* list = FindJson(row, {"errors"}); list != nullptr && list->is_array()) {
    for (const Json& error : *list) {
      errors.push_back({Text(error, "/class"), StringAt(error, "/phase").value_or("–"),
                        Number(error, "/count"), Percent(error, "/ratio_of_failed")});
    }
  }
  if (const Json* notes = FindJson(document, {"notes"}); notes != nullptr && notes->is_array()) {
    ReportBlock list{ReportBlock::kList, "", {}, {}};
    for (const Json& note : *notes) list.rows.push_back({JsonString(&note).value_or("")});
    if (!list.rows.empty()) out->blocks.push_back(std::move(list));
  }
  if (!errors.empty())
    out->blocks.push_back(Table({"Error class", "phase", "count", "share of failed"}, std::move(errors)));
  out->blocks.push_back(Chart(chart));
  AddFindings(report, findings, "observation", out);
}

// What takes time or requests that a healthy server does not lose, for the load test of that file.
void AddRootCauses(const Json& report, const std::string& file, ReportSection* out) {
  for (const Json& root : report["root_causes"]) {
    if (StringAt(root, "/file") != file) continue;
    ReportBlock list{ReportBlock::kList, "", {}, {}};
    for (const Json& cause : root["causes"]) list.rows.push_back({Text(cause, "/text") + " [WHY]"});
    if (!list.rows.empty()) {
      out->blocks.push_back(Paragraph("What is wrong, the largest loss first:"));
      out->blocks.push_back(std::move(list));
    } else if (root["known"] == true) {
      out->blocks.push_back(
          Paragraph("Nothing is wrong: no part but computing takes a tenth of requests' time. [WHY]"));
    }
  }
}

}  // namespace

ReportSection LoadTestSection(const Json& report) {
  ReportSection out{"4. Test 2: API load test", {}};
  const Json* before = FindLoad(report, "A");
  const Json* after = FindLoad(report, "E");
  if (before != nullptr) {
    LoadBlocks(
        report, *before,
        "Before, the study's server (one request at a time, an unbounded queue, work for departed clients)",
        "load_before", "over_time_A", &out);
    AddRootCauses(report, FileOf(report, "A"), &out);
  }
  if (after != nullptr) {
    LoadBlocks(report, *after, "After, weir's own mode", "load_after", "over_time_E", &out);
    AddRootCauses(report, FileOf(report, "E"), &out);
  }
  if (before == nullptr && after == nullptr) {
    for (const Json& load : report["load_tests"]) {
      LoadBlocks(report, load["document"], Text(load, "/file"), "load_after", "over_time_load", &out);
      AddRootCauses(report, Text(load, "/file"), &out);
      AddFindings(report, "load_before", "observation", &out);
    }
  }
  if (report["load_tests"].empty()) out.blocks.push_back(Paragraph("Not run."));
  out.blocks.push_back(Chart("latency_cdf"));
  return out;
}

}  // namespace weir
