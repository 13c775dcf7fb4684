// A load test that was killed: what its partial record file still says, as a result file would say it.
//
// Errors    NOT_FOUND; DATA_LOSS for what is no partial record file of `weir load`, or holds no ended request
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Load test"
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "perf/recorder/request_record.h"

namespace weir {

struct KilledRun {
  Json document;  // as of load_test_results.json, with "killed": true; its notes name what is missing
  std::vector<RequestRecord> records;
};

bool IsPartialRecordFile(const std::string& path);
// Where the run that would have made this result file left its records.
std::string PartialRecordsOf(const std::string& result_path);
Result<KilledRun> ReadKilledRun(const std::string& path);

}  // namespace weir
