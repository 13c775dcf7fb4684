#include "perf/recorder/record_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/sha256.h"

namespace weir {

Result<RecordFile> RecordFile::Open(const std::string& path, const Json& run) {
  WEIR_RETURN_IF_ERROR(CheckWritable(path));
  RecordFile out;
  out.path_ = path;
  out.file_.reset(std::fopen((path + ".part").c_str(), "we"));
  if (out.file_ == nullptr) {
    return InvalidArgument(fmt::format("cannot write '{}.part': {}", path, std::strerror(errno)));
  }
  if (!run.is_null()) out.AppendLine({{"run", run}});
  return out;
}

void RecordFile::Append(const RequestRecord& record) { AppendLine(ToJson(record)); }

void RecordFile::AppendLine(const Json& json) {
  const std::string line = DumpJson(json) + "\n";
  std::fwrite(line.data(), 1, line.size(), file_.get());
  std::fflush(file_.get());
}

Result<Json> RecordFile::Finish(std::span<const RequestRecord> records) {
  std::string content;
  for (const RequestRecord& record : records) content += DumpJson(ToJson(record)) + "\n";
  // The partial file goes only after the whole one is safe.
  WEIR_RETURN_IF_ERROR(WriteFile(path_, content));
  file_.reset();
  std::error_code ignored;
  std::filesystem::remove(path_ + ".part", ignored);
  return Json{{"name", std::filesystem::path(path_).filename().string()}, {"sha256", Sha256(content)}};
}

}  // namespace weir
