#include "tests/support/temp_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "base/check.h"

namespace weir {
namespace {

void WriteAll(int descriptor, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = write(descriptor, content.data(), content.size());
    CHECK(written > 0);
    content.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

TempFile::TempFile(std::string_view content, std::string_view suffix) {
  path_ = (std::filesystem::temp_directory_path() / "weir-test-XXXXXX").string() + std::string(suffix);
  const int descriptor = mkstemps(path_.data(), static_cast<int>(suffix.size()));
  CHECK(descriptor >= 0);
  WriteAll(descriptor, content);
  CHECK(close(descriptor) == 0);
}

TempFile::~TempFile() {
  if (!path_.empty()) unlink(path_.c_str());
}

TempFile::TempFile(TempFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}

void TempFile::Rewrite(std::string_view content) const {
  const int descriptor = open(path_.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  CHECK(descriptor >= 0);
  WriteAll(descriptor, content);
  CHECK(close(descriptor) == 0);
}

void TempFile::Truncate(uint64_t bytes) const {
  CHECK(truncate(path_.c_str(), static_cast<off_t>(bytes)) == 0);
}

}  // namespace weir
