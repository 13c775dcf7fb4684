// SmolLM3: llama with every fourth layer without positions.
#include <fmt/format.h>

#include "engine/model/architecture.h"

namespace weir {

Status ConfigureSmolLm3(const ModelFile& file, const std::string& prefix, ModelConfig* config) {
  // Its files do not say where; one made from a configuration that does may.
  const std::string key = prefix + "attention.no_rope_layer_interval";
  WEIR_ASSIGN_OR_RETURN(const uint64_t interval, file.GetUintOr(key, 4));
  if (interval == 0)
    return DataLoss(fmt::format("{}: key {}: expected at least 1, found 0", file.path(), key));
  for (size_t i = 0; i < config->layers.size(); ++i)
    if ((i + 1) % interval == 0) config->layers[i].rope = -1;
  return OkStatus();
}

}  // namespace weir
