#include "engine/model/model_config.h"

#include <fmt/format.h>

#include <cmath>

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

Status CheckTensor(const ModelFile& file, const std::string& name, uint64_t columns, uint64_t rows,
                   const char* keys) {
  const TensorInfo* tensor = file.FindTensor(name);
  if (tensor == nullptr) return Contradiction(file, fmt::format("tensor {} is missing", name));
  if (tensor->row_length() != columns || tensor->num_rows() != rows)
    return Contradiction(file, fmt::format("tensor {}: {} call for {} x {}, found {} x {}", name, keys,
                                           columns, rows, tensor->row_length(), tensor->num_rows()));
  return OkStatus();
}

Status CheckLayer(const ModelFile& file, const ModelConfig& config, int layer) {
  const auto name = [layer](const char* part) { return fmt::format("blk.{}.{}.weight", layer, part); };
  const uint64_t hidden = static_cast<uint64_t>(config.hidden_size);
  const uint64_t ffn = static_cast<uint64_t>(config.ffn_size);
  const uint64_t q = static_cast<uint64_t>(config.num_heads) * static_cast<uint64_t>(config.head_dim);
  const uint64_t kv = static_cast<uint64_t>(config.num_kv_heads) * static_cast<uint64_t>(config.head_dim);
  const char* width = "embedding_length";
  const char* heads = "embedding_length and head counts";
  const char* feed_forward = "embedding_length and feed_forward_length";
  WEIR_RETURN_IF_ERROR(CheckTensor(file, name("attn_norm"), hidden, 1, width));
  WEIR_RETURN_IF_ERROR(CheckTensor(file, name("attn_q"), hidden, q, heads));
  WEIR_RETURN_IF_ERROR(CheckTensor(file, name("attn_k"), hidden, kv, heads));
  WEIR_RETURN_IF_ERROR(CheckTensor(file, name("attn_v"), hidden, kv, heads));
  WEIR_RETURN_IF_ERROR(CheckTensor(file, name("attn_output"), q, hidden, heads));
  WEIR_RETURN_IF_ERROR(CheckTensor(file, name("ffn_norm"), hidden, 1, width));
  WEIR_RETURN_IF_ERROR(CheckTensor(file, name("ffn_gate"), hidden, ffn, feed_forward));
  WEIR_RETURN_IF_ERROR(CheckTensor(file, name("ffn_up"), hidden, ffn, feed_forward));
  return CheckTensor(file, name("ffn_down"), ffn, hidden, feed_forward);
}

// A tensor that the forward pass would leave out changes the results: refuse it by name.
Status CheckNothingUnknown(const ModelFile& file, const ModelConfig& config) {
  const uint64_t known = 9 * static_cast<uint64_t>(config.num_layers) + 2 + (config.tied_embeddings ? 0 : 1) +
                         (file.FindTensor("rope_freqs.weight") != nullptr ? 1 : 0);
  if (file.tensors().size() == known) return OkStatus();
  static constexpr std::string_view kParts[] = {"attn_norm", "attn_q",   "attn_k", "attn_v",  "attn_output",
                                                "ffn_norm",  "ffn_gate", "ffn_up", "ffn_down"};
  for (const TensorInfo& tensor : file.tensors()) {
    bool found = tensor.name == "token_embd.weight" || tensor.name == "output_norm.weight" ||
                 tensor.name == "output.weight" || tensor.name == "rope_freqs.weight";
    const size_t dot = tensor.name.find('.', 4);
    if (!found && tensor.name.starts_with("blk.") && dot != std::string::npos) {
      const std::string layer = tensor.name.substr(4, dot - 4);
      for (const std::string_view part : kParts)
        found |= tensor.name.substr(dot) == fmt::format(".{}.weight", part);
      for (int i = 0; found && i <= config.num_layers; ++i) {
        if (i == config.num_layers)
          return Contradiction(file,
                               fmt::format("tensor {}: block_count is {}", tensor.name, config.num_layers));
        if (layer == std::to_string(i)) break;
      }
    }
    if (!found)
      return Unimplemented(
          fmt::format("{}: tensor {} is not part of the {} models that weir computes; use another file",
                      file.path(), tensor.name, config.architecture));
  }
  return OkStatus();
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
  if (!std::isfinite(config.rope_theta) || config.rope_theta <= 0)
    return Contradiction(
        file, fmt::format("rope.freq_base: expected a positive number, found {}", config.rope_theta));
  if (!std::isfinite(config.rms_epsilon) || config.rms_epsilon < 0 || config.rms_epsilon > 1)
    return Contradiction(
        file, fmt::format("attention.layer_norm_rms_epsilon: expected 0 to 1, found {}", config.rms_epsilon));
  return OkStatus();
}

Status CheckRopeScaling(const ModelFile& file, const std::string& prefix) {
  if (file.FindMetadata(prefix + "rope.scaling.type") == nullptr) return OkStatus();
  WEIR_ASSIGN_OR_RETURN(const std::string_view type, file.GetString(prefix + "rope.scaling.type"));
  if (type == "none") return OkStatus();
  return Unimplemented(
      fmt::format("{}: key {}rope.scaling.type is \"{}\"; weir computes unscaled positions and those with "
                  "rope_freqs.weight only",
                  file.path(), prefix, type));
}

}  // namespace

Result<ModelConfig> ReadModelConfig(const ModelFile& file) {
  ModelConfig config;
  WEIR_ASSIGN_OR_RETURN(const std::string_view architecture, file.GetString("general.architecture"));
  if (architecture != "llama")
    return Unimplemented(
        fmt::format("{}: architecture \"{}\" is not one that weir computes (llama); use another model",
                    file.path(), architecture));
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
  WEIR_ASSIGN_OR_RETURN(config.rope_theta, file.GetFloatOr(prefix + "rope.freq_base", 10000.0));
  WEIR_ASSIGN_OR_RETURN(config.rms_epsilon, file.GetFloat(prefix + "attention.layer_norm_rms_epsilon"));
  WEIR_RETURN_IF_ERROR(CheckRopeScaling(file, prefix));
  WEIR_RETURN_IF_ERROR(CheckHeads(file, config, has_key_length));

  const TensorInfo* embedding = file.FindTensor("token_embd.weight");
  if (embedding == nullptr) return Contradiction(file, "tensor token_embd.weight is missing");
  if (embedding->num_rows() == 0 || embedding->num_rows() > kMaxSize)
    return Contradiction(file, fmt::format("tensor token_embd.weight: expected 1 to {} rows, found {}",
                                           kMaxSize, embedding->num_rows()));
  config.vocab_size = static_cast<int>(embedding->num_rows());
  const uint64_t hidden = static_cast<uint64_t>(config.hidden_size);
  const uint64_t vocab = static_cast<uint64_t>(config.vocab_size);
  WEIR_ASSIGN_OR_RETURN(const uint64_t stated_vocab, file.GetUintOr(prefix + "vocab_size", vocab));
  if (stated_vocab != vocab)
    return Contradiction(file, fmt::format("key {}vocab_size says {}, tensor token_embd.weight has {} rows",
                                           prefix, stated_vocab, vocab));
  config.tied_embeddings = file.FindTensor("output.weight") == nullptr;
  WEIR_RETURN_IF_ERROR(CheckTensor(file, "token_embd.weight", hidden, vocab, "embedding_length"));
  WEIR_RETURN_IF_ERROR(CheckTensor(file, "output_norm.weight", hidden, 1, "embedding_length"));
  if (!config.tied_embeddings)
    WEIR_RETURN_IF_ERROR(
        CheckTensor(file, "output.weight", hidden, vocab, "embedding_length and token_embd"));
  if (file.FindTensor("rope_freqs.weight") != nullptr)
    WEIR_RETURN_IF_ERROR(CheckTensor(file, "rope_freqs.weight", static_cast<uint64_t>(config.rope_dims / 2),
                                     1, "rope.dimension_count"));
  for (int layer = 0; layer < config.num_layers; ++layer)
    WEIR_RETURN_IF_ERROR(CheckLayer(file, config, layer));
  WEIR_RETURN_IF_ERROR(CheckNothingUnknown(file, config));
  return config;
}

}  // namespace weir
