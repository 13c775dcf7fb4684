#include "perf/report/section_parts.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <utility>

#include "perf/report/evidence.h"
#include "perf/report/number_format.h"

namespace weir {

ReportBlock Paragraph(std::string text) { return {ReportBlock::kParagraph, std::move(text), {}, {}}; }
ReportBlock Chart(const std::string& id) { return {ReportBlock::kChart, id, {}, {}}; }
ReportBlock Table(Row header, std::vector<Row> rows) {
  return {ReportBlock::kTable, "", std::move(header), std::move(rows)};
}

std::string Text(const Json& json, const std::string& pointer) {
  return StringAt(json, pointer).value_or(kNotMeasured);
}
std::string Number(const Json& json, const std::string& pointer) {
  return FormatNumber(NumberAt(json, pointer));
}
std::string Ms(const Json& json, const std::string& pointer) {
  return FormatMilliseconds(NumberAt(json, pointer));
}
std::string Percent(const Json& json, const std::string& pointer) {
  const auto ratio = NumberAt(json, pointer);
  return FormatPercent(ratio ? std::optional<double>(std::round(*ratio * 1000) / 1000) : std::nullopt);
}
std::string Bytes(const Json& json, const std::string& pointer) {
  return FormatBytes(NumberAt(json, pointer));
}

std::string ByUnit(const Json& row, const char* column) {
  const auto value = NumberAt(row, std::string("/") + column);
  if (!value) return "–";
  const std::string unit = StringAt(row, "/unit").value_or("");
  if (unit == "ms") return FormatMilliseconds(value);
  if (unit == "ratio") return FormatPercent(std::round(*value * 1000) / 1000);
  return FormatNumber(value) + (unit == "tok/s" ? " tok/s" : "");
}

void AddFindings(const Json& report, const std::string& section, const std::string& kind,
                 ReportSection* out) {
  ReportBlock list{ReportBlock::kList, "", {}, {}};
  for (const Json& finding : report["findings"]) {
    if (StringAt(finding, "/section") == section && StringAt(finding, "/kind") == kind) {
      list.rows.push_back({fmt::format("{} [{}]", Text(finding, "/text"), Text(finding, "/rule"))});
    }
  }
  if (!list.rows.empty()) out->blocks.push_back(std::move(list));
}

const Json* FindLoad(const Json& report, const std::string& step) {
  for (const Json& load : report["load_tests"]) {
    if (StringAt(load, "/step") == step) return &load["document"];
  }
  return nullptr;
}

std::string FileOf(const Json& report, const std::string& step) {
  for (const Json& load : report["load_tests"]) {
    if (StringAt(load, "/step") == step) return Text(load, "/file");
  }
  return "";
}

std::string Joined(const Json& list) {
  std::string out;
  if (!list.is_array()) return out;
  for (const Json& one : list) {
    if (one.is_string()) out += (out.empty() ? "" : " ") + one.get<std::string>();
  }
  return out;
}

}  // namespace weir
