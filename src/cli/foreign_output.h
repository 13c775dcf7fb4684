// `--format`: the result beside our own file, in the file of another tool.
//
// Threads   one
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/json.h"
#include "perf/report/foreign_format.h"

namespace weir {

// Adds --format to a command that writes a result file.
void AddFormatFlag(CLI::App& app, std::string* format, const std::vector<ForeignFormat>& formats);
// Writes `<output without .json>.<format>.json` and says where; nothing for "weir". Records are read from the file that the
// document names, beside `output`.
Status WriteForeignOutput(const std::string& format, const Json& document, const std::string& output);

}  // namespace weir
