#include "cli/report_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/sha256.h"
#include "cli/killed_run.h"
#include "cli/result_file.h"
#include "perf/report/evidence.h"

namespace weir {
namespace {

constexpr const char* kReportFiles[] = {"report.json", "report.md", "report.html", "report.csv"};

// Without a result file, what a killed run has left of it.
std::string WhatThereIs(const std::string& path) {
  std::error_code ignored;
  const std::string partial = PartialRecordsOf(path);
  const bool killed = !std::filesystem::exists(path, ignored) && std::filesystem::exists(partial, ignored);
  return killed ? partial : path;
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
  WEIR_ASSIGN_OR_RETURN(step.records, ReadRecordsBeside(path, document));
  step.document = std::move(document);
  return step;
}

}  // namespace

Result<ReportInput> ReadReportInput(const std::vector<std::string>& files) {
  ReportInput input;
  for (const std::string& given : files) {
    const std::string path = WhatThereIs(given);
    if (IsPartialRecordFile(path)) {
      WEIR_ASSIGN_OR_RETURN(KilledRun run, ReadKilledRun(path));
      WEIR_ASSIGN_OR_RETURN(const std::string hash, Sha256File(path));
      LadderStep step;
      step.file = std::filesystem::path(path).filename().string();
      step.title = step.file;
      step.records = std::move(run.records);
      step.document = std::move(run.document);
      input.sources.push_back({{"file", step.file}, {"sha256", hash}, {"kind", "load_test"}});
      input.steps.push_back(std::move(step));
      continue;
    }
    WEIR_ASSIGN_OR_RETURN(Json document, ReadResultFile(path));
    const std::string kind = StringAt(document, "/kind").value_or("");
    WEIR_ASSIGN_OR_RETURN(const std::string hash, Sha256File(path));
    input.sources.push_back(
        {{"file", std::filesystem::path(path).filename().string()}, {"sha256", hash}, {"kind", kind}});
    const bool in_turns = FindJson(document, {"turns"}) != nullptr;
    if (StringAt(document, "/ladder/step").value_or("").starts_with("REC-")) {
      WEIR_ASSIGN_OR_RETURN(LadderStep trial, ReadStep(path, std::move(document)));
      input.trials.push_back(std::move(trial));
      continue;
    }
    if (kind == "benchmark" && in_turns) {
      WEIR_ASSIGN_OR_RETURN(input.turns.benchmark_records, ReadRecordsBeside(path, document));
      input.turns.benchmark = std::move(document);
    } else if (in_turns) {
      WEIR_ASSIGN_OR_RETURN(input.turns.records, ReadRecordsBeside(path, document));
      input.turns.load_test = std::move(document);
    } else if (kind == "benchmark") {
      WEIR_ASSIGN_OR_RETURN(input.benchmark_records, ReadRecordsBeside(path, document));
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
  WEIR_RETURN_IF_ERROR(WriteFile(folder + "/report.csv", RenderCsv(report)));
  return WriteFile(folder + "/report.html", RenderHtml(report));
}

}  // namespace weir
