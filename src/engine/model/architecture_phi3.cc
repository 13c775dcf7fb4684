// Phi 3 and 4: q, k and v in one tensor, gate and up in another; sometimes only a part of a head rotates.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "engine/model/architecture.h"

namespace weir {
namespace {

// Files with long contexts name two sets of frequencies, one for contexts up to the original length and one beyond. A
// sequence that grows past it would have to compute everything again, so weir keeps to the first.
Status LimitContext(const ModelFile& file, const std::string& prefix, ModelConfig* config) {
  const std::string key = prefix + "rope.scaling.original_context_length";
  WEIR_ASSIGN_OR_RETURN(const uint64_t original, file.GetUint(key));
  if (original < 2)
    return DataLoss(fmt::format("{}: key {}: expected at least 2, found {}", file.path(), key, original));
  RopeSpec& rope = config->ropes.front();
  const double stretch = static_cast<double>(config->max_context) / static_cast<double>(original);
  const double usual =
      stretch > 1 ? std::sqrt(1 + std::log(stretch) / std::log(static_cast<double>(original))) : 1.0;
  const std::string factor_key = prefix + "rope.scaling.attn_factor";
  WEIR_ASSIGN_OR_RETURN(rope.attention_factor, file.GetFloatOr(factor_key, usual));
  if (!std::isfinite(rope.attention_factor) || rope.attention_factor <= 0)
    return DataLoss(fmt::format("{}: key {}: expected a positive number, found {}", file.path(), factor_key,
                                rope.attention_factor));
  if (static_cast<uint64_t>(config->max_context) <= original) return OkStatus();
  LogWarning(
      "{}: contexts beyond {} tokens need longrope's second set of frequencies, which weir does not use; "
      "the context is limited to {}",
      file.path(), original, original);
  config->max_context = static_cast<int>(original);
  return OkStatus();
}

}  // namespace

Status ConfigurePhi3(const ModelFile& file, const std::string& prefix, ModelConfig* config) {
  config->rope_pairs = RopePairs::kHalves;
  config->fused_qkv = true;
  if (file.FindTensor("rope_factors_short.weight") != nullptr) {
    config->rope_divisors = "rope_factors_short.weight";
    WEIR_RETURN_IF_ERROR(LimitContext(file, prefix, config));
  }
  WEIR_ASSIGN_OR_RETURN(const int window, ReadWindow(file, prefix, *config));
  for (LayerKind& layer : config->layers) layer.window = window;
  return OkStatus();
}

}  // namespace weir
