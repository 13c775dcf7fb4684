#include "cli/result_file.h"

#include <fmt/format.h>

#include <filesystem>
#include <sstream>

#include "base/file.h"
#include "perf/report/evidence.h"
#include "perf/statistics/load_row.h"

namespace weir {
namespace {

// Every reader walks the rows as objects.
bool IsListOfObjects(const Json* list) {
  if (list == nullptr || !list->is_array()) return false;
  for (const Json& one : *list) {
    if (!one.is_object()) return false;
  }
  return true;
}

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
  return LastAttempts(records);
}

}  // namespace

Result<Json> ReadResultFile(const std::string& path) {
  WEIR_ASSIGN_OR_RETURN(Json document, ReadJsonFile(path));
  const std::string version = StringAt(document, "/schema_version").value_or("");
  if (!version.starts_with("1.")) {
    return DataLoss(fmt::format("'{}' has schema_version \"{}\", this weir reads 1.x", path, version));
  }
  const std::string kind = StringAt(document, "/kind").value_or("");
  if (kind != "benchmark" && kind != "load_test") {
    return DataLoss(
        fmt::format("'{}' is of kind \"{}\", expected \"benchmark\" or \"load_test\"", path, kind));
  }
  const Json* results = FindJson(document, {"results"});
  if (!IsListOfObjects(results) || (results->empty() && kind == "load_test")) {
    return DataLoss(fmt::format("'{}' has no results", path));
  }
  if (const Json* matrix = FindJson(document, {"matrix"}); matrix != nullptr && !IsListOfObjects(matrix)) {
    return DataLoss(fmt::format("'{}' has a matrix that is no list of rows", path));
  }
  return document;
}

Result<std::vector<RequestRecord>> ReadRecordsBeside(const std::string& path, const Json& document) {
  const auto name = StringAt(document, "/requests_file/name");
  if (!name) return std::vector<RequestRecord>();
  const auto beside = std::filesystem::path(path).parent_path() / std::filesystem::path(*name).filename();
  std::error_code ignored;
  if (!std::filesystem::exists(beside, ignored)) return std::vector<RequestRecord>();
  return ReadRecords(beside.string());
}

}  // namespace weir
