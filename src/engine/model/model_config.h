// The numbers that shape a llama-architecture model, read from the model file and checked against its tensors.
//
// Errors    Read: DATA_LOSS with both sides of a contradiction · UNIMPLEMENTED for an architecture weir lacks
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "engine/gguf/model_file.h"
#include "engine/kvcache/kv_storage.h"

namespace weir {

struct ModelConfig {
  std::string architecture;
  std::string name;
  int num_layers = 0;
  int hidden_size = 0;
  int num_heads = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  int ffn_size = 0;
  int vocab_size = 0;
  int max_context = 0;  // trained context length
  int rope_dims = 0;
  double rope_theta = 10000.0;
  double rms_epsilon = 1e-5;
  bool tied_embeddings = false;
  KvDtype kv_dtype = KvDtype::kF16;  // chosen, not read

  KvShape kv_shape() const { return {num_layers, num_kv_heads, head_dim, kv_dtype}; }
};

Result<ModelConfig> ReadModelConfig(const ModelFile& file);

}  // namespace weir
