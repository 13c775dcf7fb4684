#include "cli/quantity.h"

#include <fmt/format.h>

#include <exception>
#include <map>

namespace weir {
namespace {

// A number with a unit behind it, times that unit; negative when it is none.
double ParseQuantity(const std::string& text, const std::map<std::string, double>& units) {
  size_t used = 0;
  double value = -1;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    return -1;
  }
  const auto unit = units.find(text.substr(used));
  return unit == units.end() ? -1 : value * unit->second;
}

}  // namespace

Result<Duration> ParseDuration(const std::string& flag, const std::string& text) {
  static const std::map<std::string, double> kUnits = {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"m", 60}};
  const double seconds = ParseQuantity(text, kUnits);
  constexpr double kMostSeconds = 86400;
  if (!(seconds >= 0 && seconds <= kMostSeconds)) {
    return InvalidArgument(fmt::format("{} is '{}', expected a time like 10s, 500ms or 2m", flag, text))
        .WithParam(flag);
  }
  return FromSeconds(seconds);
}

Result<int64_t> ParseSize(const std::string& flag, const std::string& text) {
  static const std::map<std::string, double> kUnits = {
      {"", 1},         {"B", 1},      {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30},
      {"TiB", 0x1p40}, {"K", 0x1p10}, {"M", 0x1p20},   {"G", 0x1p30},   {"T", 0x1p40}};
  const double bytes = ParseQuantity(text, kUnits);
  if (!(bytes >= 0 && bytes <= 0x1p60)) {
    return InvalidArgument(fmt::format("{} is '{}', expected a size like 8GiB or 500MiB", flag, text))
        .WithParam(flag);
  }
  return static_cast<int64_t>(bytes);
}

}  // namespace weir
