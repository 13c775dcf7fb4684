#include "cli/foreign_output.h"

#include <fmt/format.h>

#include "base/file.h"
#include "cli/result_file.h"

namespace weir {
namespace {

constexpr ForeignFormat kAll[] = {ForeignFormat::kVllm, ForeignFormat::kGuidellm, ForeignFormat::kAiperf,
                                  ForeignFormat::kLlamaBench};

}  // namespace

void AddFormatFlag(CLI::App& app, std::string* format, const std::vector<ForeignFormat>& formats) {
  std::vector<std::string> names = {"weir"};
  for (const ForeignFormat one : formats) names.emplace_back(ForeignFormatName(one));
  app.add_option("--format", *format, "also write the file of another tool beside --output")
      ->check(CLI::IsMember(names))
      ->type_name("NAME")
      ->capture_default_str();
}

Status WriteForeignOutput(const std::string& format, const Json& document, const std::string& output) {
  for (const ForeignFormat one : kAll) {
    if (ForeignFormatName(one) != format) continue;
    WEIR_ASSIGN_OR_RETURN(const std::vector<RequestRecord> records, ReadRecordsBeside(output, document));
    WEIR_ASSIGN_OR_RETURN(const std::vector<ForeignFile> files, WriteForeign(one, document, records));
    const std::string stem = output.ends_with(".json") ? output.substr(0, output.size() - 5) : output;
    for (const ForeignFile& file : files) {
      WEIR_RETURN_IF_ERROR(WriteFile(stem + file.suffix, file.content));
      fmt::print("In the format of {}: {}\n", format, stem + file.suffix);
    }
  }
  return OkStatus();
}

}  // namespace weir
