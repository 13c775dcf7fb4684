#include <fmt/format.h>

#include "perf/report/evidence.h"
#include "perf/report/report.h"
#include "perf/report/sections.h"
#include "perf/report/svg_chart.h"

namespace weir {
namespace {

constexpr const char* kStyle = R"css(
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5c6776;--line:#d5dbe3;--paper:#fff;--band:#f4f6f9;
 --bad:#b03020;--good:#1e7a41;--warn:#8a5a00}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#9aa6b5;--line:#3a4452;--paper:#161b22;--band:#1f2630;
 --bad:#ff8a7a;--good:#6fcf97;--warn:#f0c060}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1.5rem 1rem 4rem;background:var(--paper);color:var(--ink);
 font:16px/1.5 system-ui,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.7rem;margin:.2rem 0}h2{font-size:1.25rem;margin:2.4rem 0 .6rem;border-bottom:2px solid var(--line);padding-bottom:.2rem}
p.meta{color:var(--soft);margin:0 0 1rem}.scroll,.chart{overflow-x:auto}
table{border-collapse:collapse;width:100%;margin:.6rem 0 1rem;font-size:.9rem}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{background:var(--band)}td:not(:first-child){font-variant-numeric:tabular-nums}
figure{margin:1.2rem 0}figcaption{font-weight:600;margin-bottom:.3rem}
svg{width:100%;height:auto;max-width:46rem}svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
.grid{stroke:var(--line)}.axis{stroke:var(--soft);fill:none}
.legend span{margin-right:1.1rem;font-size:.85rem;display:inline-block}td.n{white-space:nowrap}
details{font-size:.85rem;color:var(--soft)}code,pre{font:13px/1.4 ui-monospace,monospace;overflow-x:auto}
.bad{color:var(--bad);font-weight:600}.good{color:var(--good);font-weight:600}.warn{color:var(--warn);font-weight:600}
h2,figcaption{break-after:avoid}figure,tr,li,.legend{break-inside:avoid}
@media(max-width:40rem){.chart svg{width:40rem}th,td{padding:.35rem .4rem}ul{padding-left:1.2rem}}
@media print{:root{color-scheme:light;--ink:#000;--soft:#333;--line:#999;--paper:#fff;--band:#f2f2f2;
 --bad:#b03020;--good:#1e7a41;--warn:#8a5a00}
 @page{margin:14mm}body{max-width:none;padding:0;font-size:13px}h2{margin-top:1.4rem}
 .scroll,.chart{overflow:visible}table{font-size:.82rem}th,td{padding:.2rem .35rem}details{display:none}
 .scroll{break-inside:avoid}pre,code{white-space:pre-wrap;overflow-wrap:anywhere}
 *{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
)css";

std::string Cell(const std::string& text, const char* tag) {
  constexpr size_t kShort = 14;  // a number and its unit stay on one line
  std::string mark = text.size() <= kShort ? "n" : "";
  if (text.starts_with("CRITICAL") || text == "INVALID") mark = "bad";
  if (text == "OK" || text == "VALID") mark = "good";
  if (text == "WARN") mark = "warn";
  const std::string attribute = mark.empty() ? "" : fmt::format(" class=\"{}\"", mark);
  return fmt::format("<{0}{1}>{2}</{0}>", tag, attribute, EscapeHtml(text));
}

std::string Figure(const Json& chart) {
  std::string caption = EscapeHtml(chart.value("title", ""));
  if (const auto formula = StringAt(chart, "/formula"))
    caption += fmt::format(" <small>({})</small>", EscapeHtml(*formula));
  return fmt::format(
      "<figure><figcaption>{}</figcaption><div class=\"chart\">{}</div><details><summary>data</summary><div "
      "class=\"scroll\">{}</div></details></figure>\n",
      caption, RenderSvg(chart), RenderChartTable(chart));
}

std::string Render(const ReportBlock& block, const Json& report) {
  switch (block.kind) {
    case ReportBlock::kParagraph:
      return "<p>" + EscapeHtml(block.text) + "</p>\n";
    case ReportBlock::kCode:
      return "<pre>" + EscapeHtml(block.text) + "</pre>\n";
    case ReportBlock::kTable: {
      std::string out = "<div class=\"scroll\"><table><tr>";
      for (const std::string& cell : block.header) out += Cell(cell, "th");
      out += "</tr>\n";
      for (const auto& row : block.rows) {
        out += "<tr>";
        for (const std::string& cell : row) out += Cell(cell, "td");
        out += "</tr>\n";
      }
      return out + "</table></div>\n";
    }
    case ReportBlock::kList: {
      std::string out = "<ul>";
      for (const auto& row : block.rows) out += "<li>" + EscapeHtml(row[0]) + "</li>";
      return out + "</ul>\n";
    }
    case ReportBlock::kChart:
      break;
  }
  for (const Json& chart : report["charts"]) {
    if (StringAt(chart, "/id") == block.text) return Figure(chart);
  }
  return "";
}

}  // namespace

std::string RenderHtml(const Json& report) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,"
      "initial-scale=1\"><title>weir report</title><style>{}</style></head><body>\n<h1>LLM inference "
      "performance test</h1>\n"
      "<p class=\"meta\">{} · verdict {}</p>\n",
      kStyle, EscapeHtml(StringAt(report, "/created_at").value_or("")),
      EscapeHtml(StringAt(report, "/validity/verdict").value_or("")));
  for (const ReportSection& section : BuildSections(report)) {
    out += "<section><h2>" + EscapeHtml(section.title) + "</h2>\n";
    for (const ReportBlock& block : section.blocks) out += Render(block, report);
    out += "</section>\n";
  }
  return out + "</body></html>\n";
}

}  // namespace weir
