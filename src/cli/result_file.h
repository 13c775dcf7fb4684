// A result file of `weir bench` or `weir load`, read back and found to be one.
//
// Errors    NOT_FOUND; DATA_LOSS for what is no JSON, of another major schema version, of another kind, or without results
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "perf/recorder/request_record.h"

namespace weir {

Result<Json> ReadResultFile(const std::string& path);
// The requests that the result file names, from the folder it lies in; none when they are gone. DATA_LOSS names the line.
Result<std::vector<RequestRecord>> ReadRecordsBeside(const std::string& path, const Json& document);

}  // namespace weir
