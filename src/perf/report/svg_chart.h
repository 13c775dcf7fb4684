// One chart as inline SVG: no script, no outside reference, legible in grey print and on a phone.
//
// Shapes    chart: {"id", "title", "kind": "xy"|"bars"|"stack", "x", "y", "log2_x", "series": [...], "note"}
//           xy series:    {"name", "style": "line"|"dashed"|"steps"|"dots"|"crosses", "points": [[x, y],
//           ...]} bars series:  {"name", "points": [["label", value, "text"], ...]}, one series stack series:
//           {"name", "points": [["label", value], ...]}, values of one label add up to 1
#pragma once

#include <string>

#include "base/json.h"

namespace weir {

std::string RenderSvg(const Json& chart);
// The chart's numbers, for readers and machines that do not see pictures.
std::string RenderChartTable(const Json& chart);
std::string EscapeHtml(std::string_view text);

}  // namespace weir
