// From result files to one explanation: report.json is the whole of it, the other forms only render it.
//
// Errors    BuildReport: INVALID_ARGUMENT when the inputs hold neither a benchmark nor a load test
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "The report"
//
// No sentence under observations, causes or recommendations exists without a rule, and every rule stores what
// it read.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "perf/recorder/request_record.h"

namespace weir {

// One load test and its place in the before-and-after ladder.
struct LadderStep {
  std::string id;     // "A" ... "F"; empty for a load test that belongs to no ladder
  std::string title;  // "before", "after", ...
  std::vector<std::string> server_flags;
  Json predicted;  // {"ok", "gap_1"} or null
  Json document;   // load_test file
  std::vector<RequestRecord> records;
  std::string file;  // name as stored in sources[]
};

// The engine directly and the repaired server, measured in turns: A B B A. Nothing but the gap attribution reads it.
struct Turns {
  Json benchmark;  // null when not run
  std::vector<RequestRecord> benchmark_records = {};
  Json load_test;
  std::vector<RequestRecord> records = {};
};

struct ReportInput {
  Json benchmark;  // null when there is none
  std::vector<RequestRecord> benchmark_records = {};
  std::vector<LadderStep> steps;  // in ladder order; the last normal-mode step stands for "the API"
  // Recommendations that were followed: `id` is their rule, the document a load test or a benchmark.
  std::vector<LadderStep> trials = {};
  Turns turns = {};
  Json sources = Json::array();  // {file, sha256, kind}
  std::vector<std::string> command;
};

Result<Json> BuildReport(const ReportInput& input);
std::string RenderMarkdown(const Json& report);
std::string RenderHtml(const Json& report);
// Every number of the report, one a line: table,row,metric,formula,unit,value.
std::string RenderCsv(const Json& report);
// At most 25 lines for the terminal.
std::string RenderSummary(const Json& report);

// Step that stands for the failing server ("A", else the first with failures) and for the repaired one; null
// when absent.
const LadderStep* StepBefore(const std::vector<LadderStep>& steps);
const LadderStep* StepAfter(const std::vector<LadderStep>& steps);

}  // namespace weir
