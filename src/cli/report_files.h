// Between result files and the report: what `weir report` and `weir run` read and write alike.
//
// Errors    Read: NOT_FOUND, DATA_LOSS or INVALID_ARGUMENT naming the file. Write: INVALID_ARGUMENT naming
// the place;
//           each file is replaced whole or not at all
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "perf/report/report.h"

namespace weir {

// Benchmark and load-test files in any order; per-request records are read from beside each load test.
Result<ReportInput> ReadReportInput(const std::vector<std::string>& files);

// report.json, report.md and report.html in `folder`; CheckReportFolder says beforehand whether that will
// work.
Status CheckReportFolder(const std::string& folder);
Status WriteReport(const Json& report, const std::string& folder);

}  // namespace weir
