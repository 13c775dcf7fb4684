#include "engine/model/architecture.h"

#include <algorithm>

namespace weir {
namespace {

constexpr Architecture kArchitectures[] = {
    {"llama", ConfigureLlama},     {"qwen2", ConfigureQwen2},       {"qwen3", ConfigureQwen3},
    {"phi3", ConfigurePhi3},       {"gemma2", ConfigureGemma2},     {"gemma3", ConfigureGemma3},
    {"smollm3", ConfigureSmolLm3}, {"qwen3moe", ConfigureQwen3Moe},
};

}  // namespace

std::span<const Architecture> KnownArchitectures() { return kArchitectures; }

const Architecture* FindArchitecture(std::string_view name) {
  const auto* found = std::find_if(std::begin(kArchitectures), std::end(kArchitectures),
                                   [&](const Architecture& known) { return known.name == name; });
  return found == std::end(kArchitectures) ? nullptr : found;
}

Result<int> ReadWindow(const ModelFile& file, const std::string& prefix, const ModelConfig& config) {
  WEIR_ASSIGN_OR_RETURN(const uint64_t window, file.GetUintOr(prefix + "attention.sliding_window", 0));
  return window < static_cast<uint64_t>(config.max_context) ? static_cast<int>(window) : 0;
}

}  // namespace weir
