#include <fmt/format.h>

#include "perf/report/evidence.h"
#include "perf/report/report.h"
#include "perf/report/sections.h"

namespace weir {
namespace {

std::string EscapeCell(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '|') out += "\\";
    out.push_back(c == '\n' ? ' ' : c);
  }
  return out;
}

std::string Line(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const std::string& cell : cells) out += " " + EscapeCell(cell) + " |";
  return out + "\n";
}

std::string Render(const ReportBlock& block, const Json& report) {
  switch (block.kind) {
    case ReportBlock::kParagraph:
      return block.text + "\n\n";
    case ReportBlock::kCode:
      return "```\n" + block.text + "\n```\n\n";
    case ReportBlock::kTable: {
      std::string out = Line(block.header) + "|";
      for (size_t i = 0; i < block.header.size(); ++i) out += "---|";
      out += "\n";
      for (const auto& row : block.rows) out += Line(row);
      return out + "\n";
    }
    case ReportBlock::kList: {
      std::string out;
      for (const auto& row : block.rows) out += "- " + row[0] + "\n";
      return out + "\n";
    }
    case ReportBlock::kChart:
      break;
  }
  for (const Json& chart : report["charts"]) {
    if (StringAt(chart, "/id") == block.text) {
      return fmt::format("*Chart in report.html: {}*\n\n", StringAt(chart, "/title").value_or(""));
    }
  }
  return "";
}

}  // namespace

std::string RenderMarkdown(const Json& report) {
  std::string out = fmt::format("# LLM inference performance test\n\n{}, verdict {}.\n\n",
                                StringAt(report, "/created_at").value_or(""),
                                StringAt(report, "/validity/verdict").value_or(""));
  for (const ReportSection& section : BuildSections(report)) {
    out += "## " + section.title + "\n\n";
    for (const ReportBlock& block : section.blocks) out += Render(block, report);
  }
  return out;
}

}  // namespace weir
