#include "cli/report.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/command.h"
#include "cli/flags.h"
#include "cli/report_files.h"

namespace weir {

int RunReport(const std::vector<std::string>& arguments) {
  CLI::App app("Turns result files of 'weir bench' and 'weir load' into a report.", "weir report");
  std::vector<std::string> files;
  std::string folder = ".";
  app.add_option("FILES", files, "benchmark and load-test result files")->required();
  app.add_option("--out", folder, "folder for report.md, report.html and report.json (default: here)");
  const Result<bool> parsed = ParseFlags(app, arguments);
  if (!parsed) return Fail("report", parsed.error());
  if (!*parsed) return 0;  // --help was shown

  if (const Status status = CheckReportFolder(folder); !status.ok()) return Fail("report", status);
  Result<ReportInput> input = ReadReportInput(files);
  if (!input) return Fail("report", input.error());
  input->command = {"weir", "report"};
  input->command.insert(input->command.end(), arguments.begin(), arguments.end());
  const Result<Json> report = BuildReport(*input);
  if (!report) return Fail("report", report.error());
  if (const Status status = WriteReport(*report, folder); !status.ok()) return Fail("report", status);
  fmt::print("{}\nReport: {}/report.html, report.md, report.json\n", RenderSummary(*report), folder);
  return 0;
}

}  // namespace weir
