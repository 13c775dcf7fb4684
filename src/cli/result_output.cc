#include "cli/result_output.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "cli/command.h"
#include "perf/recorder/run_index.h"
#include "perf/statistics/validity.h"

namespace weir {
namespace {

constexpr size_t kMaxWarnings = 4;
constexpr std::string_view kNotMeasuredText = "not measured";

std::string TextAt(const Json& document, std::string_view key) {
  return JsonString(FindJson(document, {key})).value_or("");
}

}  // namespace

int StoreResult(std::string_view command, const Json& document, const std::string& path, bool allow_invalid) {
  if (Status written = WriteFile(path, DumpJsonPretty(document)); !written.ok())
    return Fail(command, written);
  const std::string verdict = JsonString(FindJson(document, {"validity", "verdict"})).value_or("");
  std::error_code ignored;
  const std::string absolute = std::filesystem::absolute(path, ignored).string();
  const RunEntry entry{TextAt(document, "run_id"), TextAt(document, "kind"), TextAt(document, "created_at"),
                       absolute.empty() ? path : absolute, verdict};
  if (const Status indexed = RunIndex().Add(entry); !indexed.ok()) {
    LogWarning("the run is not in the index of runs: {}", indexed.message());
  }
  fmt::print("Verdict: {}\n", Validity::Line(document["validity"]));
  const std::vector<std::string> warnings = Validity::Warnings(document["validity"]);
  for (size_t i = 0; i < warnings.size() && i < kMaxWarnings; ++i) fmt::print("  {}\n", warnings[i]);
  if (warnings.size() > kMaxWarnings) {
    fmt::print("  and {} more, in the file\n", warnings.size() - kMaxWarnings);
  }
  if (FindJson(document, {"interrupted"}) != nullptr) {
    fmt::print("Interrupted. What was measured until then is in {}\n", path);
    return ExitCode(Cancelled(""));
  }
  fmt::print("Results: {}\n", path);
  return verdict == "INVALID" && !allow_invalid ? 1 : 0;
}

std::string NumberText(const Json* value, int digits) {
  const auto number = JsonNumber(value);
  return number ? fmt::format("{:.{}f}", *number, digits) : std::string(kNotMeasuredText);
}

std::string MsText(const Json& row, std::string_view metric, std::string_view member) {
  const auto number = JsonNumber(FindJson(row, {metric, member}));
  return number ? fmt::format("{:.1f}", *number) : std::string("-");
}

}  // namespace weir
