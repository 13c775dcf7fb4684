#include "engine/model/model_config.h"

#include <fmt/format.h>

#include <cmath>

#include "base/utf8.h"
#include "engine/model/architecture.h"
#include "engine/model/model_tensors.h"

namespace weir {
namespace {

// Larger than any model of today; keeps every product of two sizes far inside 64 bits.
constexpr uint64_t kMaxSize = uint64_t{1} << 24;
constexpr uint64_t kMaxLayers = 4096;

Status Contradiction(const ModelFile& file, std::string message) {
  return DataLoss(
      fmt::format("{}: {}; the file is damaged or of another kind, fetch it again", file.path(), message));
}

Result<int> ReadSize(const ModelFile& file, const std::string& key, uint64_t limit = kMaxSize) {
  WEIR_ASSIGN_OR_RETURN(const uint64_t value, file.GetUint(key));
  if (value == 0 || value > limit)
    return Contradiction(file, fmt::format("key {}: expected 1 to {}, found {}", key, limit, value));
  return static_cast<int>(value);
}

Result<int> ReadSizeOr(const ModelFile& file, const std::string& key, int fallback) {
  if (file.FindMetadata(key) == nullptr) return fallback;
  return ReadSize(file, key);
}

Status CheckHeads(const ModelFile& file, const ModelConfig& config, bool has_key_length) {
  if (config.num_heads % config.num_kv_heads != 0)
    return Contradiction(file,
                         fmt::format("attention.head_count {} is no multiple of attention.head_count_kv {}",
                                     config.num_heads, config.num_kv_heads));
  if (!has_key_length && config.hidden_size % config.num_heads != 0)
    return Contradiction(file, fmt::format("embedding_length {} is no multiple of attention.head_count {}",
                                           config.hidden_size, config.num_heads));
  if (config.rope_dims % 2 != 0 || config.rope_dims > config.head_dim)
    return Contradiction(
        file, fmt::format("rope.dimension_count {}: expected an even number up to the head size {}",
                          config.rope_dims, config.head_dim));
  if (!std::isfinite(config.rms_epsilon) || config.rms_epsilon < 0 || config.rms_epsilon > 1)
    return Contradiction(
        file, fmt::format("attention.layer_norm_rms_epsilon: expected 0 to 1, found {}", config.rms_epsilon));
  return OkStatus();
}

Status UnknownArchitecture(const ModelFile& file, std::string_view name) {
  std::string known;
  for (const Architecture& architecture : KnownArchitectures()) {
    known += known.empty() ? "" : ", ";
    known += architecture.name;
  }
  return Unimplemented(
      fmt::format("{}: architecture \"{}\" is not one that weir computes ({}); use another model",
                  file.path(), QuoteForMessage(name), known));
}

}  // namespace

Result<ModelConfig> ReadModelConfig(const ModelFile& file) {
  ModelConfig config;
  WEIR_ASSIGN_OR_RETURN(const std::string_view architecture, file.GetString("general.architecture"));
  const Architecture* known = FindArchitecture(architecture);
  if (known == nullptr) return UnknownArchitecture(file, architecture);
  config.architecture = architecture;
  const std::string prefix = config.architecture + ".";
  if (file.FindMetadata("general.name") != nullptr) {
    WEIR_ASSIGN_OR_RETURN(const std::string_view name, file.GetString("general.name"));
    config.name = name;
  }
  WEIR_ASSIGN_OR_RETURN(config.num_layers, ReadSize(file, prefix + "block_count", kMaxLayers));
  WEIR_ASSIGN_OR_RETURN(config.hidden_size, ReadSize(file, prefix + "embedding_length"));
  WEIR_ASSIGN_OR_RETURN(config.num_heads, ReadSize(file, prefix + "attention.head_count"));
  WEIR_ASSIGN_OR_RETURN(config.num_kv_heads,
                        ReadSizeOr(file, prefix + "attention.head_count_kv", config.num_heads));
  WEIR_ASSIGN_OR_RETURN(config.ffn_size, ReadSize(file, prefix + "feed_forward_length"));
  WEIR_ASSIGN_OR_RETURN(config.max_context, ReadSize(file, prefix + "context_length"));
  const bool has_key_length = file.FindMetadata(prefix + "attention.key_length") != nullptr;
  const int even_share = config.hidden_size / config.num_heads;
  WEIR_ASSIGN_OR_RETURN(config.head_dim, ReadSizeOr(file, prefix + "attention.key_length", even_share));
  if (config.head_dim == 0)
    return Contradiction(file, fmt::format("attention.head_count {} is larger than embedding_length {}",
                                           config.num_heads, config.hidden_size));
  WEIR_ASSIGN_OR_RETURN(const int value_length,
                        ReadSizeOr(file, prefix + "attention.value_length", config.head_dim));
  if (value_length != config.head_dim)
    return Unimplemented(
        fmt::format("{}: attention.value_length {} differs from key_length {}; weir needs them equal",
                    file.path(), value_length, config.head_dim));
  WEIR_ASSIGN_OR_RETURN(config.rope_dims, ReadSizeOr(file, prefix + "rope.dimension_count", config.head_dim));
  WEIR_ASSIGN_OR_RETURN(config.rms_epsilon, file.GetFloat(prefix + "attention.layer_norm_rms_epsilon"));
  WEIR_ASSIGN_OR_RETURN(const RopeSpec rope, ReadRopeSpec(file, prefix));
  config.ropes.push_back(rope);
  config.attention_scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
  WEIR_RETURN_IF_ERROR(CheckHeads(file, config, has_key_length));

  const TensorInfo* embedding = file.FindTensor("token_embd.weight");
  if (embedding == nullptr) return Contradiction(file, "tensor token_embd.weight is missing");
  if (embedding->num_rows() == 0 || embedding->num_rows() > kMaxSize)
    return Contradiction(file, fmt::format("tensor token_embd.weight: expected 1 to {} rows, found {}",
                                           kMaxSize, embedding->num_rows()));
  config.vocab_size = static_cast<int>(embedding->num_rows());
  const uint64_t vocab = static_cast<uint64_t>(config.vocab_size);
  WEIR_ASSIGN_OR_RETURN(const uint64_t stated_vocab, file.GetUintOr(prefix + "vocab_size", vocab));
  if (stated_vocab != vocab)
    return Contradiction(file, fmt::format("key {}vocab_size says {}, tensor token_embd.weight has {} rows",
                                           prefix, stated_vocab, vocab));
  config.tied_embeddings = file.FindTensor("output.weight") == nullptr;
  // Of a model whose rows were not put into llama's order.
  WEIR_ASSIGN_OR_RETURN(const bool halves, file.GetBoolOr(prefix + "rope.pairs_are_halves", false));
  if (halves) config.rope_pairs = RopePairs::kHalves;
  config.layers.resize(static_cast<size_t>(config.num_layers));
  WEIR_RETURN_IF_ERROR(known->configure(file, prefix, &config));
  WEIR_RETURN_IF_ERROR(CheckTensors(file, config));
  return config;
}

}  // namespace weir
