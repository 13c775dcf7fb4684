// Qwen 3 with experts: a layer's feed-forward is a choice of a few out of many small ones, or, in some layers of some models,
// one for all rows. Which it is the tensors say: only a choice needs a router.
#include <fmt/format.h>

#include "engine/model/architecture.h"

namespace weir {
namespace {

// More than any model of today has.
constexpr uint64_t kMaxExperts = 4096;

Result<int> ReadCount(const ModelFile& file, const std::string& key, uint64_t limit) {
  WEIR_ASSIGN_OR_RETURN(const uint64_t value, file.GetUint(key));
  if (value == 0 || value > limit)
    return DataLoss(fmt::format("{}: key {}: expected 1 to {}, found {}", file.path(), key, limit, value));
  return static_cast<int>(value);
}

}  // namespace

Status ConfigureQwen3Moe(const ModelFile& file, const std::string& prefix, ModelConfig* config) {
  WEIR_RETURN_IF_ERROR(ConfigureQwen3(file, prefix, config));
  WEIR_ASSIGN_OR_RETURN(config->num_experts, ReadCount(file, prefix + "expert_count", kMaxExperts));
  WEIR_ASSIGN_OR_RETURN(config->experts_per_row, ReadCount(file, prefix + "expert_used_count",
                                                           static_cast<uint64_t>(config->num_experts)));
  WEIR_ASSIGN_OR_RETURN(config->expert_ffn_size,
                        ReadCount(file, prefix + "expert_feed_forward_length", uint64_t{1} << 24));
  // GGUF's converters leave it out, and all the models they convert want it.
  WEIR_ASSIGN_OR_RETURN(config->normalize_experts, file.GetBoolOr(prefix + "expert_weights_norm", true));
  for (size_t i = 0; i < config->layers.size(); ++i)
    config->layers[i].experts = file.FindTensor(fmt::format("blk.{}.ffn_gate_inp.weight", i)) != nullptr ||
                                file.FindTensor(fmt::format("blk.{}.ffn_gate.weight", i)) == nullptr;
  return OkStatus();
}

}  // namespace weir
