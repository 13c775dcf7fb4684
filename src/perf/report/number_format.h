// Numbers as people read them: three to four digits, a unit, and "not measured" for what was not.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"

namespace weir {

inline constexpr const char* kNotMeasured = "not measured";
// Differences of throughput below this are the rest of a rounding and read as 0.
inline constexpr double kNothingTps = 0.005;

std::string FormatNumber(double value);  // 0.0123, 4.84, 265, 1 930
std::string FormatNumber(std::optional<double> value);
std::string FormatMilliseconds(std::optional<double> ms);  // "3.02 s", "41.2 ms"
std::string FormatPercent(std::optional<double> ratio);    // "44 %", "97.5 %"
std::string FormatBytes(std::optional<double> bytes);      // "96.6 MB"
std::string FormatRatio(std::optional<double> ratio);      // "54.8x"

}  // namespace weir
