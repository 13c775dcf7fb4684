#include "cli/recorded_benchmark.h"

#include <optional>
#include <utility>
#include <vector>

#include "perf/recorder/record_file.h"

namespace weir {

Result<Json> RunRecordedBenchmark(BenchSpec spec, const std::string& records_path,
                                  const ProgressFunction& progress) {
  if (spec.mode == BenchMode::kMatrix) return RunBenchmark(spec, progress);
  std::optional<RecordFile> file;
  std::vector<RequestRecord> records;
  spec.on_record = [&](const RequestRecord& record) {
    // Opened by the first request: a model that cannot be read leaves nothing behind.
    if (!file) {
      Result<RecordFile> opened = RecordFile::Open(records_path);
      if (opened) file = std::move(*opened);
    }
    if (file) file->Append(record);
    records.push_back(record);
  };
  WEIR_ASSIGN_OR_RETURN(Json document, RunBenchmark(spec, progress));
  if (file) {
    WEIR_ASSIGN_OR_RETURN(document["requests_file"], file->Finish(records));
  }
  return document;
}

}  // namespace weir
