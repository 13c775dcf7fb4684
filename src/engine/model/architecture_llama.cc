// Llama 1 to 3, and what its files carry under the same name: Mistral with its sliding window, SmolLM2.
#include "engine/model/architecture.h"

namespace weir {

Status ConfigureLlama(const ModelFile& file, const std::string& prefix, ModelConfig* config) {
  config->attention_biases = file.FindTensor("blk.0.attn_q.bias") != nullptr;
  WEIR_ASSIGN_OR_RETURN(const int window, ReadWindow(file, prefix, *config));
  for (LayerKind& layer : config->layers) layer.window = window;
  return OkStatus();
}

}  // namespace weir
