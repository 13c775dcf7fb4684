#include "cli/default_model.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

namespace weir {
namespace {

constexpr const char* kFileName = "SmolLM2-135M-Instruct.Q4_1.gguf";

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The same rule as tools/get_model.sh.
std::string CacheFolder() {
  if (const std::string own = Variable("WEIR_CACHE"); !own.empty()) return own;
  if (const std::string cache = Variable("XDG_CACHE_HOME"); !cache.empty()) return cache + "/weir";
  return Variable("HOME") + "/.cache/weir";
}

}  // namespace

Result<std::string> ModelOrDefault(const std::string& given) {
  if (!given.empty()) return given;
  const std::string path = CacheFolder() + "/" + kFileName;
  std::error_code error;
  if (std::filesystem::is_regular_file(path, error)) return path;
  return NotFound(fmt::format(
      "no model: none was given and there is no default at '{}'; give --model FILE or get the default "
      "with tools/get_model.sh",
      path));
}

}  // namespace weir
