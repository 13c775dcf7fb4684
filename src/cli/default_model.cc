#include "cli/default_model.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

namespace weir {
namespace {

constexpr const char* kDefaultModel = "SmolLM2-135M-Instruct.Q4_1.gguf";  // the name in tools/get_model.sh

// An empty variable counts as unset, as in the shell's ${X:-...}.
std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string CacheFolder() {
  if (const std::string own = Variable("WEIR_CACHE"); !own.empty()) return own;
  if (const std::string shared = Variable("XDG_CACHE_HOME"); !shared.empty()) return shared + "/weir";
  return Variable("HOME") + "/.cache/weir";
}

Result<std::string> FindModel(const std::string& argument) {
  if (!argument.empty()) return argument;
  if (const std::string named = Variable("WEIR_MODEL"); !named.empty()) return named;
  const std::string path = fmt::format("{}/models/{}", CacheFolder(), kDefaultModel);
  if (access(path.c_str(), F_OK) == 0) return path;
  return NotFound(
      fmt::format("no model named, and the default one is not at {}; run tools/get_model.sh or name a .gguf "
                  "file",
                  path));
}

}  // namespace weir
