#include "cli/load_tables.h"

#include <fmt/format.h>

#include "cli/result_output.h"

namespace weir {
namespace {

void PrintLatency(const Json& row, const char* label, std::string_view metric) {
  if (!FindJson(row, {metric}) || row[std::string(metric)].is_null()) return;
  fmt::print("{:<38} {:>9} {:>9} {:>9} {:>9} {:>9}\n", label, MsText(row, metric, "mean"),
             MsText(row, metric, "p50"), MsText(row, metric, "p95"), MsText(row, metric, "p99"),
             MsText(row, metric, "max"));
}

std::string MethodLabel(const Json& row) {
  return JsonString(FindJson(row, {"e2el_ms", "method"})) == "linear" ? "ms, linear percentiles"
                                                                      : "ms, nearest-rank";
}

void PrintErrors(const Json& row) {
  int shown = 0;
  for (const Json& error : row["errors"]) {
    if (++shown > 5) break;  // the file has them all
    fmt::print("  {} {} {} ({}): {}\n", error["count"].get<int64_t>(), error["outcome"].get<std::string>(),
               error["class"].get<std::string>(), JsonString(FindJson(error, {"phase"})).value_or("-"),
               error["message"].get<std::string>().substr(0, 120));
  }
}

void PrintStage(const Json& row) {
  const Json& counts = row["counts"];
  fmt::print("{} requests: {} ok, {} shed, {} failed, {} cancelled in {} s; success {} (SUC-1)\n",
             counts["sent"].get<int64_t>(), counts["ok"].get<int64_t>(), counts["shed"].get<int64_t>(),
             counts["failed"].get<int64_t>(), counts["cancelled"].get<int64_t>(), NumberText(&row["wall_s"]),
             row["success_ratio"].is_null()
                 ? "not measured"
                 : fmt::format("{:.1f} %", row["success_ratio"].get<double>() * 100));
  fmt::print(
      "{} output tok/s over the whole run (THR-OUT-1), {} in the steady window (THR-OUT-2), {} requests/s\n",
      NumberText(&row["output_tps"]), NumberText(&row["output_tps_steady"]),
      NumberText(&row["requests_per_s"], 2));
  const Json* retries = FindJson(row, {"retries"});
  const bool retried = retries != nullptr && retries->is_object();
  if (retried) {
    fmt::print("{} attempts: {} requests were tried again, {} of them ok in the end\n",
               NumberText(FindJson(*retries, {"attempts"}), 0),
               NumberText(FindJson(*retries, {"requests_tried_again"}), 0),
               NumberText(FindJson(*retries, {"ok_after_retry"}), 0));
  }
  const bool open = row["mode"] == "open" || retried;
  fmt::print("{:<38} {:>9} {:>9} {:>9} {:>9} {:>9}\n", MethodLabel(row), "mean", "p50", "p95", "p99", "max");
  if (open) {
    PrintLatency(row, "latency from intended send (E2EL-2)", "e2el_from_intended_ms");
    PrintLatency(row, "time to first token (TTFT-2)", "ttft_from_intended_ms");
    PrintLatency(row, "client queue (QUEUE-2)", "client_queue_ms");
  }
  PrintLatency(row, "latency of successes (E2EL-1)", "e2el_ms");
  if (counts["failed"].get<int64_t>() > 0)
    PrintLatency(row, "latency with failures (E2EL-4)", "e2el_with_failed_ms");
  PrintLatency(row, "time to first token (TTFT-1)", "ttft_ms");
  PrintLatency(row, "time per output token (TPOT-1)", "tpot_ms");
  PrintLatency(row, "largest gap of a request (ITL-3)", "itl_max_ms");
  if (!row["goodput"].is_null()) {
    fmt::print("goodput {} requests/s (GOOD-1), {} of all ended (GOOD-2)\n",
               NumberText(FindJson(row, {"goodput", "requests_per_s"}), 2),
               NumberText(FindJson(row, {"goodput", "ratio"}), 3));
  }
  PrintErrors(row);
}

std::string Level(const Json& row) {
  if (row["mode"] == "closed") return row["concurrency"].dump() + " in flight";
  return row["request_rate_per_s"].is_number() ? NumberText(&row["request_rate_per_s"], 2) + "/s"
                                               : std::string("trace");
}

// One line per level; the file has the rest.
void PrintStages(const Json& document) {
  fmt::print("{:<16} {:>6} {:>6} {:>6} {:>9} {:>8} {:>9} {:>9} {:>9} {:>7}\n", "level", "ok", "shed",
             "failed", "tok/s", "req/s", "TTFT p95", "lat. p50", "lat. p95", "good");
  for (const Json& row : document["results"]) {
    const std::string from = row["mode"] == "open" ? "_from_intended_ms" : "_ms";
    const auto good = JsonNumber(FindJson(row, {"goodput", "ratio"}));
    fmt::print("{:<16} {:>6} {:>6} {:>6} {:>9} {:>8} {:>9} {:>9} {:>9} {:>7}\n", Level(row),
               row["counts"]["ok"].dump(), row["counts"]["shed"].dump(), row["counts"]["failed"].dump(),
               NumberText(&row["output_tps"]), NumberText(&row["requests_per_s"], 2),
               MsText(row, "ttft" + from, "p95"), MsText(row, "e2el" + from, "p50"),
               MsText(row, "e2el" + from, "p95"), good ? fmt::format("{:.0f} %", *good * 100) : "-");
  }
  fmt::print(
      "Times in {}; of a rate from the intended send. good: share of all ended that kept "
      "--slo\n",
      MethodLabel(document["results"].back()));
}

void PrintSearch(const Json& search) {
  const std::string by = search["by"].get<std::string>();
  if (!search["answer"].is_number()) {
    fmt::print("No {} was found that keeps the bounds for {:.0f} % of the requests.\n", by,
               search["share"].get<double>() * 100);
    return;
  }
  fmt::print("Highest {} that keeps the bounds for {:.0f} % of the requests: {}{}\n", by,
             search["share"].get<double>() * 100, NumberText(&search["answer"], by == "rate" ? 2 : 0),
             search["at_highest"] == true ? ", the highest that was tried" : ", confirmed");
}

}  // namespace

void PrintLoadTables(const Json& document) {
  if (document["results"].size() == 1) {
    PrintStage(document["results"][0]);
  } else {
    PrintStages(document);
  }
  if (const Json* search = FindJson(document, {"search"})) PrintSearch(*search);
}

}  // namespace weir
