// Results in the files of other benchmark tools, for whatever reads those.
//
// Errors    INVALID_ARGUMENT when the tool's file cannot hold this kind of result
// Threads   pure functions
// Source    docs/FORMATS.md, "Files of other tools"
//
// A field that we cannot fill follows the tool's own rule for absence; nothing is invented. Words that mean another formula
// there than here get that formula.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "perf/recorder/request_record.h"

namespace weir {

enum class ForeignFormat { kVllm, kGuidellm, kAiperf, kLlamaBench };
std::string_view ForeignFormatName(ForeignFormat format);

struct ForeignFile {
  std::string suffix;  // of its name: ".vllm.json"
  std::string content;
};

// `document`: a result file of this program, with the records that it names.
Result<std::vector<ForeignFile>> WriteForeign(ForeignFormat format, const Json& document,
                                              std::span<const RequestRecord> records);

}  // namespace weir
