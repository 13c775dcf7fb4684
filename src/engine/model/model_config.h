// The numbers that shape a model, read from the model file and checked against its tensors. Those of every architecture are
// llama's and what its entry of the registry (architecture.h) adds.
//
// Errors    Read: DATA_LOSS with both sides of a contradiction · UNIMPLEMENTED for an architecture weir lacks
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/gguf/model_file.h"
#include "engine/kvcache/kv_storage.h"
#include "engine/model/rope_spec.h"

namespace weir {

// What stands between the two halves of a feed-forward layer.
enum class Activation { kSilu, kGelu };

// Which values of a head are rotated as one pair: (2i, 2i+1), or (i, i + half).
enum class RopePairs { kNeighbours, kHalves };

// What may differ from layer to layer.
struct LayerKind {
  int window = 0;        // keys that a row sees, its own included; 0: all
  int rope = 0;          // number among ModelConfig::ropes; -1: no positions
  bool experts = false;  // its feed-forward is a choice of experts
};

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
  double rms_epsilon = 1e-5;
  bool tied_embeddings = false;
  KvDtype kv_dtype = KvDtype::kF16;  // chosen, not read

  std::vector<RopeSpec> ropes;    // at least one
  std::vector<LayerKind> layers;  // one per layer
  RopePairs rope_pairs = RopePairs::kNeighbours;
  Activation activation = Activation::kSilu;
  bool attention_biases = false;  // of q, k and v
  bool head_norms = false;        // of every head of q and k
  bool post_norms = false;        // of what attention and feed-forward add to the residual stream
  bool fused_qkv = false;         // one tensor holds q, k and v; another gate and up
  // Small feed-forward layers of which a router chooses some for each row; 0: none. Not every layer need have them.
  int num_experts = 0;
  int experts_per_row = 0;
  int expert_ffn_size = 0;
  bool normalize_experts = true;  // the chosen ones' weights sum to 1
  float embedding_scale = 1;
  float attention_scale = 0;                        // of scores
  float attention_soft_cap = 0;                     // 0: none
  float logit_soft_cap = 0;                         // 0: none
  std::string rope_divisors = "rope_freqs.weight";  // tensor that divides the frequencies, where there is one

  // Whether a layer has one feed-forward for all rows.
  bool any_plain_ffn() const {
    return std::any_of(layers.begin(), layers.end(), [](const LayerKind& layer) { return !layer.experts; });
  }
  KvShape kv_shape() const { return {num_layers, num_kv_heads, head_dim, kv_dtype}; }
};

Result<ModelConfig> ReadModelConfig(const ModelFile& file);

}  // namespace weir
