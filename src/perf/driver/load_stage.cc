#include "perf/driver/load_stage.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace weir {
namespace {

constexpr int kNoCountLimit = 1000000;
constexpr int kAutomaticSteps = 10;

bool ReadNumber(std::string_view text, double* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(*out);
}

// "90", "90s", "2m", "1m30s".
bool ReadSeconds(std::string_view text, double* out) {
  *out = 0;
  const size_t minutes = text.find('m');
  double value = 0;
  if (minutes != std::string_view::npos) {
    if (!ReadNumber(text.substr(0, minutes), &value)) return false;
    *out = value * 60;
    text.remove_prefix(minutes + 1);
    if (text.empty()) return *out > 0;
  }
  if (text.ends_with('s')) text.remove_suffix(1);
  if (!ReadNumber(text, &value)) return false;
  *out += value;
  return *out > 0;
}

Status SetLevel(std::string_view name, double value, LoadStage* out) {
  if (name == "rate") {
    if (!(value > 0) || value > 1e6)
      return InvalidArgument(fmt::format("rate is {}, expected more than 0 requests per second", value));
    out->request_rate = value;
    return OkStatus();
  }
  if (name != "concurrency")
    return InvalidArgument(fmt::format("'{}' is unknown, expected rate or concurrency", name));
  if (value < 1 || value > 100000 || value != std::floor(value))
    return InvalidArgument(fmt::format("concurrency is {}, expected a whole number from 1", value));
  out->concurrency = static_cast<int>(value);
  return OkStatus();
}

}  // namespace

Result<std::vector<LoadStage>> ParseStages(std::string_view text) {
  std::vector<LoadStage> out;
  const std::string all(text);
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text = part.size() == text.size() ? std::string_view() : text.substr(part.size() + 1);
    const size_t equals = part.find('='), colon = part.find(':');
    double level = 0;
    LoadStage stage;
    if (equals == std::string_view::npos || colon == std::string_view::npos || colon < equals ||
        !ReadNumber(part.substr(equals + 1, colon - equals - 1), &level) ||
        !ReadSeconds(part.substr(colon + 1), &stage.duration_s)) {
      return InvalidArgument(fmt::format(
          "--stages '{}' has the part '{}', expected rate=N:SECONDS or concurrency=N:SECONDS, separated by "
          "commas",
          all, part));
    }
    if (const Status set = SetLevel(part.substr(0, equals), level, &stage); !set.ok())
      return InvalidArgument(fmt::format("--stages '{}': {}", all, set.message()));
    stage.requests = kNoCountLimit;
    out.push_back(stage);
  }
  if (out.empty()) return InvalidArgument("--stages is empty, expected for example rate=2:60s,rate=4:60s");
  return out;
}

Result<Sweep> ParseSweep(std::string_view text) {
  const std::string all(text);
  const size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  Sweep out;
  out.by_rate = name == "rate";
  if (equals == std::string_view::npos || (name != "rate" && name != "concurrency")) {
    return InvalidArgument(
        fmt::format("--sweep '{}': expected concurrency=1,2,4, rate=0.5,1,2 or rate=auto", all));
  }
  text.remove_prefix(equals + 1);
  if (out.by_rate && text == "auto") return out;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text = part.size() == text.size() ? std::string_view() : text.substr(part.size() + 1);
    double level = 0;
    LoadStage unused;
    if (!ReadNumber(part, &level))
      return InvalidArgument(fmt::format("--sweep '{}': '{}' is no number", all, part));
    if (const Status set = SetLevel(name, level, &unused); !set.ok())
      return InvalidArgument(fmt::format("--sweep '{}': {}", all, set.message()));
    out.levels.push_back(level);
  }
  if (out.levels.empty()) return InvalidArgument(fmt::format("--sweep '{}' has no level", all));
  return out;
}

std::vector<double> AutomaticRates(double capacity_per_s) {
  std::vector<double> rates;
  for (int i = 0; i < kAutomaticSteps; ++i)
    rates.push_back(capacity_per_s * (0.1 + 1.1 * i / (kAutomaticSteps - 1)));
  return rates;
}

}  // namespace weir
