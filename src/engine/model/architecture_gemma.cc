// Gemma 2 and 3 (text): norms before and after each half of a layer, GELU, scaled embeddings, layers that see a window and
// layers that see everything. Gemma 2 caps scores and logits; Gemma 3 norms heads and rotates its two kinds of layers by two
// bases.
#include <fmt/format.h>

#include <cmath>

#include "engine/model/architecture.h"

namespace weir {
namespace {

Status ConfigureGemma(const ModelFile& file, const std::string& prefix, int largest_layers,
                      uint64_t usual_period, ModelConfig* config) {
  config->rope_pairs = RopePairs::kHalves;
  config->activation = Activation::kGelu;
  config->post_norms = true;
  config->embedding_scale = std::sqrt(static_cast<float>(config->hidden_size));
  // The largest of each family scales scores by its width instead of its heads'; its files do not say so otherwise.
  const int share =
      config->num_layers == largest_layers ? config->hidden_size / config->num_heads : config->head_dim;
  config->attention_scale = 1.0f / std::sqrt(static_cast<float>(share));
  WEIR_ASSIGN_OR_RETURN(const double scalar, file.GetFloatOr(prefix + "attention.scale", 0.0));
  if (scalar > 0) config->attention_scale = static_cast<float>(scalar);
  WEIR_ASSIGN_OR_RETURN(const int window, ReadWindow(file, prefix, *config));
  const std::string key = prefix + "attention.sliding_window_pattern";
  WEIR_ASSIGN_OR_RETURN(const uint64_t period, file.GetUintOr(key, usual_period));
  if (period == 0) return DataLoss(fmt::format("{}: key {}: expected at least 1, found 0", file.path(), key));
  for (size_t i = 0; i < config->layers.size(); ++i)
    if ((i + 1) % period != 0) config->layers[i] = {window, static_cast<int>(config->ropes.size()) - 1};
  return OkStatus();
}

Result<float> ReadCap(const ModelFile& file, const std::string& key, double fallback) {
  WEIR_ASSIGN_OR_RETURN(const double cap, file.GetFloatOr(key, fallback));
  if (!std::isfinite(cap) || cap < 0)
    return DataLoss(fmt::format("{}: key {}: expected a number from 0 on, found {}", file.path(), key, cap));
  return static_cast<float>(cap);
}

}  // namespace

Status ConfigureGemma2(const ModelFile& file, const std::string& prefix, ModelConfig* config) {
  WEIR_ASSIGN_OR_RETURN(config->attention_soft_cap, ReadCap(file, prefix + "attn_logit_softcapping", 50.0));
  WEIR_ASSIGN_OR_RETURN(config->logit_soft_cap, ReadCap(file, prefix + "final_logit_softcapping", 30.0));
  return ConfigureGemma(file, prefix, 46, 2, config);
}

Status ConfigureGemma3(const ModelFile& file, const std::string& prefix, ModelConfig* config) {
  config->head_norms = true;
  RopeSpec local;
  WEIR_ASSIGN_OR_RETURN(local.theta, file.GetFloatOr(prefix + "rope.freq_base_swa", 10000.0));
  if (!std::isfinite(local.theta) || local.theta <= 0)
    return DataLoss(fmt::format("{}: key {}rope.freq_base_swa: expected a positive number, found {}",
                                file.path(), prefix, local.theta));
  config->ropes.push_back(local);
  WEIR_ASSIGN_OR_RETURN(config->attention_soft_cap, ReadCap(file, prefix + "attn_logit_softcapping", 0.0));
  WEIR_ASSIGN_OR_RETURN(config->logit_soft_cap, ReadCap(file, prefix + "final_logit_softcapping", 0.0));
  return ConfigureGemma(file, prefix, 62, 6, config);
}

}  // namespace weir
