// Request records on disk, one JSON object a line, flushed as they come: what was measured survives a crash.
//
// Owns      "<path>.part" while the run lasts; `path` itself appears only at Finish(), whole
// Errors    Open: INVALID_ARGUMENT naming the place. A failed append is reported by Finish()
// Threads   one at a time
#pragma once

#include <cstdio>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "perf/recorder/request_record.h"

namespace weir {

class RecordFile {
 public:
  // `run`, when not null, is the first line of the partial file, as {"run": ...}: what a report of a killed run needs to know.
  static Result<RecordFile> Open(const std::string& path, const Json& run = nullptr);

  void Append(const RequestRecord& record);
  // Writes the records in their final form (joined with what the server knew) and removes the partial file. Returns
  // {"name", "sha256"} for the result file.
  Result<Json> Finish(std::span<const RequestRecord> records);

 private:
  void AppendLine(const Json& json);

  struct Closer {
    void operator()(FILE* file) const { std::fclose(file); }
  };
  std::string path_;
  std::unique_ptr<FILE, Closer> file_;
};

}  // namespace weir
