// A file, in memory where the system has such a place, that holds one fuzzer's input after the other.
//
// Owns      a folder of its own, for as long as the process lives
// Threads   one
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace weir {

class ScratchFile {
 public:
  explicit ScratchFile(const char* name) {
    std::error_code error;
    const std::string base = std::filesystem::is_directory("/dev/shm", error) ? "/dev/shm" : "/tmp";
    folder_ = base + "/weir-fuzz-" + std::to_string(getpid());
    std::filesystem::create_directories(folder_, error);
    path_ = folder_ + "/" + name;
  }
  ~ScratchFile() {
    std::error_code error;
    std::filesystem::remove_all(folder_, error);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  void Write(const uint8_t* data, size_t size) const {
    std::FILE* file = std::fopen(path_.c_str(), "wb");
    if (file == nullptr || std::fwrite(data, 1, size, file) != size || std::fclose(file) != 0) std::abort();
  }
  const std::string& path() const { return path_; }
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
  std::string path_;
};

}  // namespace weir
