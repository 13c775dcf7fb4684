// A direct benchmark that also keeps its requests, as a load test does.
//
// Errors    as RunBenchmark and RecordFile
// Threads   as RunBenchmark
#pragma once

#include <string>

#include "perf/driver/bench_spec.h"

namespace weir {

// Adds requests_file{} to the document. Matrix mode has no requests, and then there is no file.
Result<Json> RunRecordedBenchmark(BenchSpec spec, const std::string& records_path,
                                  const ProgressFunction& progress);

}  // namespace weir
