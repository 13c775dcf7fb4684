// The report as a list of sections with headings, paragraphs, tables and chart places: Markdown and HTML
// render the same.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace weir {

struct ReportBlock {
  enum Kind { kParagraph, kTable, kList, kChart, kCode } kind = kParagraph;
  std::string text;                            // paragraph, code, or the chart's id
  std::vector<std::string> header;             // table
  std::vector<std::vector<std::string>> rows;  // table rows, or one cell per list item
};

struct ReportSection {
  std::string title;
  std::vector<ReportBlock> blocks;
};

std::vector<ReportSection> BuildSections(const Json& report);
// The one sentence a reader should keep.
std::string KeyFinding(const Json& report);

}  // namespace weir
