// A file of the test's own, gone when the test ends.
//
// Owns      the file
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir {

class TempFile {
 public:
  // A unique name ending in `suffix` below the temporary folder of the machine.
  explicit TempFile(std::string_view content, std::string_view suffix = ".gguf");
  ~TempFile();
  TempFile(TempFile&& other) noexcept;
  TempFile& operator=(TempFile&&) = delete;

  const std::string& path() const { return path_; }
  void Rewrite(std::string_view content) const;
  void Truncate(uint64_t bytes) const;

 private:
  std::string path_;
};

}  // namespace weir
