#include "engine/lora/lora_adapter.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

namespace weir {
namespace {

bool Exists(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0;
}

bool IsDirectory(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace

bool LoraAdapter::pairs_are_halves() const { return architecture != "llama" && architecture != "smollm3"; }

uint64_t LoraAdapter::largest_rank() const {
  uint64_t largest = 0;
  for (const LoraPair& pair : pairs) largest = std::max(largest, pair.rank());
  return largest;
}

uint64_t LoraAdapter::num_parameters() const {
  uint64_t sum = 0;
  for (const LoraPair& pair : pairs) sum += pair.a.rows * pair.a.columns + pair.b.rows * pair.b.columns;
  return sum;
}

Status LoraAdapter::CheckUnchanged() const {
  if (safetensors != nullptr) return safetensors->CheckUnchanged();
  return gguf != nullptr ? gguf->CheckUnchanged() : OkStatus();
}

bool IsLoraDirectory(const std::string& path) { return Exists(path + "/adapter_config.json"); }

Result<LoraAdapter> LoraAdapter::Open(const std::string& path) {
  if (IsDirectory(path)) return OpenPeftAdapter(path);
  if (path.ends_with(".safetensors"))
    return InvalidArgument(
        fmt::format("{}: the tensors alone do not say how they scale; name the directory that has "
                    "adapter_config.json too",
                    path));
  WEIR_ASSIGN_OR_RETURN(std::unique_ptr<ModelFile> file, ModelFile::Open(path));
  return OpenGgufAdapter(std::move(file));
}

}  // namespace weir
