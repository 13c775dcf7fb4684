// The architectures that weir computes: what their files say beyond what llama's do.
//
// Errors    configure: DATA_LOSS, UNIMPLEMENTED, as ReadModelConfig()
// Threads   immutable
//
// All of them are one decoder with parts that come and go (model_config.h). An architecture is a file of its own that sets
// those parts, and a line in architecture.cc.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "engine/gguf/model_file.h"
#include "engine/model/model_config.h"

namespace weir {

struct Architecture {
  std::string_view name;  // general.architecture
  // `config` holds what all architectures say alike: sizes, one RopeSpec, layers that see everything. `prefix` begins the
  // keys.
  Status (*configure)(const ModelFile& file, const std::string& prefix, ModelConfig* config);
};

std::span<const Architecture> KnownArchitectures();
const Architecture* FindArchitecture(std::string_view name);  // null when there is none

// What several of them share: the key attention.sliding_window, 0 when it is not there or larger than the context.
Result<int> ReadWindow(const ModelFile& file, const std::string& prefix, const ModelConfig& config);

Status ConfigureLlama(const ModelFile& file, const std::string& prefix, ModelConfig* config);
Status ConfigureQwen2(const ModelFile& file, const std::string& prefix, ModelConfig* config);
Status ConfigureQwen3(const ModelFile& file, const std::string& prefix, ModelConfig* config);
Status ConfigureQwen3Moe(const ModelFile& file, const std::string& prefix, ModelConfig* config);
Status ConfigurePhi3(const ModelFile& file, const std::string& prefix, ModelConfig* config);
Status ConfigureGemma2(const ModelFile& file, const std::string& prefix, ModelConfig* config);
Status ConfigureGemma3(const ModelFile& file, const std::string& prefix, ModelConfig* config);
Status ConfigureSmolLm3(const ModelFile& file, const std::string& prefix, ModelConfig* config);

}  // namespace weir
