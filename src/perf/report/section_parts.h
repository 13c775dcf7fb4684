// Blocks and cells that the sections of a report are built of.
//
// Units     pointers lead to ms, bytes, ratios and numbers as the function's name says; what is absent is "not measured"
// Threads   pure functions
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "perf/report/sections.h"

namespace weir {

using Row = std::vector<std::string>;

ReportBlock Paragraph(std::string text);
ReportBlock Chart(const std::string& id);
ReportBlock Table(Row header, std::vector<Row> rows);
std::string Text(const Json& json, const std::string& pointer);
std::string Number(const Json& json, const std::string& pointer);
std::string Ms(const Json& json, const std::string& pointer);
std::string Percent(const Json& json, const std::string& pointer);
std::string Bytes(const Json& json, const std::string& pointer);
// A column of a summary row, in the unit that the row names.
std::string ByUnit(const Json& row, const char* column);
// A list of what the rules found for that section; nothing when they found nothing.
void AddFindings(const Json& report, const std::string& section, const std::string& kind, ReportSection* out);
// The load test of a step of the ladder; null when it was not run.
const Json* FindLoad(const Json& report, const std::string& step);
std::string FileOf(const Json& report, const std::string& step);
// Strings with a blank between them.
std::string Joined(const Json& list);

// The sections over the two tests of the study.
ReportSection BenchmarkSection(const Json& report);
ReportSection LoadTestSection(const Json& report);

}  // namespace weir
