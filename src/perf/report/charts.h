// The report's pictures as data: what each shows, in the form svg_chart.h draws.
#pragma once

#include "base/json.h"
#include "perf/report/report.h"

namespace weir {

// Charts without data are left out.
Json BuildCharts(const ReportInput& input, const Json& report);

}  // namespace weir
