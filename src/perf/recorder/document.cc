#include <fmt/format.h>

#include <ctime>

#include "base/clock.h"
#include "base/rng.h"
#include "base/version.h"
#include "perf/recorder/environment.h"

namespace weir {

Json ToolJson() {
  return {{"name", "weir"},
          {"version", Version()},
          {"commit", Commit()},
          {"compiler", Compiler()},
          {"build_type", BuildType()}};
}

std::string NewRunId() {
  // Sorts by time; the random part keeps two runs of one second apart.
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  return fmt::format("{}-{:06x}", text, RandomSeed() & 0xffffff);
}

Json NewDocument(const std::string& kind, const std::vector<std::string>& command) {
  Json json;
  json["schema_version"] = "1.0";
  json["kind"] = kind;
  json["run_id"] = NewRunId();
  json["created_at"] = WallClockRfc3339();
  json["command"] = command;
  json["tool"] = ToolJson();
  return json;
}

}  // namespace weir
