#include "cli/report_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "base/file.h"
#include "base/sha256.h"
#include "perf/report/evidence.h"

namespace weir {
namespace {

constexpr const char* kReportFiles[] = {"report.json", "report.md", "report.html"};

Result<std::vector<RequestRecord>> ReadRecords(const std::string& path) {
  WEIR_ASSIGN_OR_RETURN(const std::string content, ReadFile(path));
  std::vector<RequestRecord> records;
  std::istringstream lines(content);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.empty()) continue;
    Result<Json> json = ParseJson(line);
    if (!json) return DataLoss(fmt::format("'{}' line {}: {}", path, number, json.error().message()));
    Result<RequestRecord> record = RequestRecordFromJson(*json);
    if (!record) return DataLoss(fmt::format("'{}' line {}: {}", path, number, record.error().message()));
    records.push_back(std::move(*record));
  }
  return records;
}

Result<LadderStep> ReadStep(const std::string& path, Json document) {
  LadderStep step;
  step.file = std::filesystem::path(path).filename().string();
  step.id = StringAt(document, "/ladder/step").value_or("");
  step.title = StringAt(document, "/ladder/title").value_or(step.file);
  if (const Json* flags = FindJson(document, {"ladder", "server_flags"});
      flags != nullptr && flags->is_array()) {
    for (const Json& flag : *flags) {
      if (flag.is_string()) step.server_flags.push_back(flag.get<std::string>());
    }
  }
  if (const Json* predicted = FindJson(document, {"ladder", "predicted"})) step.predicted = *predicted;
  if (const auto records = StringAt(document, "/requests_file/name")) {
    const auto beside =
        std::filesystem::path(path).parent_path() / std::filesystem::path(*records).filename();
    if (std::filesystem::exists(beside)) {
      WEIR_ASSIGN_OR_RETURN(step.records, ReadRecords(beside.string()));
    }
  }
  step.document = std::move(document);
  return step;
}

Status CheckDocument(const std::string& path, const Json& document, const std::string& kind) {
  const std::string version = StringAt(document, "/schema_version").value_or("");
  if (!version.starts_with("1.")) {
    return DataLoss(fmt::format("'{}' has schema_version \"{}\", this weir reads 1.x", path, version));
  }
  if (kind != "benchmark" && kind != "load_test") {
    return DataLoss(
        fmt::format("'{}' is of kind \"{}\", expected \"benchmark\" or \"load_test\"", path, kind));
  }
  const Json* results = FindJson(document, {"results"});
  if (results == nullptr || !results->is_array() || (results->empty() && kind == "load_test")) {
    return DataLoss(fmt::format("'{}' has no results", path));
  }
  return OkStatus();
}

}  // namespace

Result<ReportInput> ReadReportInput(const std::vector<std::string>& files) {
  ReportInput input;
  for (const std::string& path : files) {
    WEIR_ASSIGN_OR_RETURN(Json document, ReadJsonFile(path));
    const std::string kind = StringAt(document, "/kind").value_or("");
    WEIR_RETURN_IF_ERROR(CheckDocument(path, document, kind));
    WEIR_ASSIGN_OR_RETURN(const std::string hash, Sha256File(path));
    input.sources.push_back(
        {{"file", std::filesystem::path(path).filename().string()}, {"sha256", hash}, {"kind", kind}});
    if (kind == "benchmark") {
      input.benchmark = std::move(document);
    } else {
      WEIR_ASSIGN_OR_RETURN(LadderStep step, ReadStep(path, std::move(document)));
      input.steps.push_back(std::move(step));
    }
  }
  std::stable_sort(input.steps.begin(), input.steps.end(), [](const LadderStep& a, const LadderStep& b) {
    // The request alone ("S") is the yardstick of the ladder and stands before it.
    const auto rank = [](const LadderStep& step) { return step.id == "S" ? " " : step.id; };
    return rank(a) < rank(b);
  });
  return input;
}

Status CheckReportFolder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return InvalidArgument(fmt::format("cannot make the folder '{}': {}", folder, error.message()));
  for (const char* name : kReportFiles) WEIR_RETURN_IF_ERROR(CheckWritable(folder + "/" + name));
  return OkStatus();
}

Status WriteReport(const Json& report, const std::string& folder) {
  WEIR_RETURN_IF_ERROR(WriteFile(folder + "/report.json", DumpJsonPretty(report)));
  WEIR_RETURN_IF_ERROR(WriteFile(folder + "/report.md", RenderMarkdown(report)));
  return WriteFile(folder + "/report.html", RenderHtml(report));
}

}  // namespace weir
