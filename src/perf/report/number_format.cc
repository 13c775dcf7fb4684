#include "perf/report/number_format.h"

#include <fmt/format.h>

#include <cmath>

namespace weir {

std::string FormatNumber(double value) {
  const double size = std::fabs(value);
  if (!std::isfinite(value)) return "not a number";
  if (size >= 100 || value == std::round(value)) return fmt::format("{:.0f}", value);
  if (size >= 10) return fmt::format("{:.1f}", value);
  if (size >= 0.1) return fmt::format("{:.2f}", value);
  return fmt::format("{:.3g}", value);
}

std::string FormatNumber(std::optional<double> value) { return value ? FormatNumber(*value) : kNotMeasured; }

std::string FormatMilliseconds(std::optional<double> ms) {
  if (!ms) return kNotMeasured;
  return *ms >= 1000 ? FormatNumber(*ms / 1000) + " s" : FormatNumber(*ms) + " ms";
}

std::string FormatPercent(std::optional<double> ratio) {
  if (!ratio) return kNotMeasured;
  const double percent = *ratio * 100;
  if (std::fabs(percent) < 0.05) return "0 %";
  return percent == std::round(percent) ? fmt::format("{:.0f} %", percent) : fmt::format("{:.1f} %", percent);
}

std::string FormatBytes(std::optional<double> bytes) {
  if (!bytes) return kNotMeasured;
  if (*bytes >= 1e9) return FormatNumber(*bytes / 1e9) + " GB";
  if (*bytes >= 1e6) return FormatNumber(*bytes / 1e6) + " MB";
  return FormatNumber(*bytes / 1e3) + " kB";
}

std::string FormatRatio(std::optional<double> ratio) {
  return ratio ? FormatNumber(*ratio) + "x" : kNotMeasured;
}

}  // namespace weir
