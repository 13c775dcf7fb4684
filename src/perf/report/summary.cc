#include <fmt/format.h>

#include "perf/report/evidence.h"
#include "perf/report/number_format.h"
#include "perf/report/report.h"
#include "perf/report/sections.h"

namespace weir {

std::string RenderSummary(const Json& report) {
  std::string out;
  if (!report["benchmark"].is_null()) {
    out += "direct benchmark        tok/s    p50 latency   share of limit\n";
    for (const Json& row : report["benchmark"]["results"]) {
      out += fmt::format("  batch {:<4} {:>16} {:>14} {:>16}\n", FormatNumber(NumberAt(row, "/batch_size")),
                         FormatNumber(NumberAt(row, "/output_tps_steady")),
                         FormatMilliseconds(NumberAt(row, "/e2el_ms/p50")),
                         FormatPercent(NumberAt(row, "/limit/share_ratio")));
    }
  }
  if (!report["ladder"].empty()) {
    out += "through the API         tok/s        success   GAP-1\n";
    for (const Json& step : report["ladder"]) {
      out += fmt::format(
          "  {:<20} {:>7} {:>14} {:>7}\n",
          fmt::format("{} {}", StringAt(step, "/step").value_or(""), StringAt(step, "/title").value_or("")),
          FormatNumber(NumberAt(step, "/measured/output_tps")),
          FormatPercent(NumberAt(step, "/measured/success_ratio")),
          FormatRatio(NumberAt(step, "/measured/gap_1")));
    }
  }
  out += fmt::format("Key finding: {}\nVerdict: {}\n", KeyFinding(report),
                     StringAt(report, "/validity/verdict").value_or(""));
  return out;
}

}  // namespace weir
