// Qwen 2 and 2.5, whose q, k and v have biases, and Qwen 3, which norms the heads of q and k instead.
#include "engine/model/architecture.h"

namespace weir {

Status ConfigureQwen2(const ModelFile&, const std::string&, ModelConfig* config) {
  config->rope_pairs = RopePairs::kHalves;
  config->attention_biases = true;
  return OkStatus();
}

Status ConfigureQwen3(const ModelFile& file, const std::string&, ModelConfig* config) {
  config->rope_pairs = RopePairs::kHalves;
  config->attention_biases = file.FindTensor("blk.0.attn_q.bias") != nullptr;
  config->head_norms = true;
  return OkStatus();
}

}  // namespace weir
