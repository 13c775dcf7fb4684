// The rules that may put a sentence into a report: observations, causes and recommendations, each with its
// evidence.
//
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Rules"
//
// A rule on missing data stays silent; which ones did is listed, so silence is not taken for a clean bill.
#pragma once

#include "base/json.h"
#include "perf/report/report.h"

namespace weir {

struct Findings {
  Json list =
      Json::array();  // {rule, kind, section, priority, text, evidence[], expected, remeasured, trial}
  Json silent = Json::array();  // {rule, why}
};

// `facts` is the report so far: comparison, attribution and ladder are read from it.
Findings ApplyRules(const ReportInput& input, const Json& facts);

}  // namespace weir
