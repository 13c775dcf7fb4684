// What `weir bench` and `weir load` do with a finished document: store it, index it, say how it came out.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace weir {

// Writes the file, adds the run to the index (a failure there only warns), prints where it went and the verdict, and
// returns the exit code: 130 interrupted, 1 for an INVALID verdict unless allowed, else 0.
int StoreResult(std::string_view command, const Json& document, const std::string& path, bool allow_invalid);

// "12.3 ms" or "not measured"; the member of a distribution.
std::string MsText(const Json& row, std::string_view metric, std::string_view member);
// A number with `digits` decimals, or "not measured".
std::string NumberText(const Json* value, int digits = 1);

}  // namespace weir
