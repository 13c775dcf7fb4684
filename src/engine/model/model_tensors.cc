#include "engine/model/model_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

namespace weir {
namespace {

constexpr const char* kWidth = "embedding_length";
constexpr const char* kHeads = "embedding_length and head counts";
constexpr const char* kExperts = "embedding_length, expert_count and expert_feed_forward_length";
constexpr const char* kFeedForward = "embedding_length and feed_forward_length";

Status Contradiction(const ModelFile& file, std::string message) {
  return DataLoss(
      fmt::format("{}: {}; the file is damaged or of another kind, fetch it again", file.path(), message));
}

Status CheckTensor(const ModelFile& file, const ExpectedTensor& expected) {
  const TensorInfo* tensor = file.FindTensor(expected.name);
  if (tensor == nullptr) return Contradiction(file, fmt::format("tensor {} is missing", expected.name));
  if (tensor->row_length() != expected.columns || tensor->num_rows() != expected.rows)
    return Contradiction(
        file, fmt::format("tensor {}: {} call for {} x {}, found {} x {}", expected.name, expected.keys,
                          expected.columns, expected.rows, tensor->row_length(), tensor->num_rows()));
  return OkStatus();
}

std::vector<ExpectedTensor> TensorsBesideLayers(const ModelFile& file, const ModelConfig& config) {
  const auto hidden = static_cast<uint64_t>(config.hidden_size);
  const auto vocab = static_cast<uint64_t>(config.vocab_size);
  std::vector<ExpectedTensor> list = {{"token_embd.weight", hidden, vocab, kWidth},
                                      {"output_norm.weight", hidden, 1, kWidth}};
  if (!config.tied_embeddings)
    list.push_back({"output.weight", hidden, vocab, "embedding_length and token_embd"});
  // Phi's other set of divisors is known too, though not used.
  for (const std::string& name : {config.rope_divisors, std::string("rope_factors_long.weight")})
    if (file.FindTensor(name) != nullptr)
      list.push_back({name, static_cast<uint64_t>(config.rope_dims / 2), 1, "rope.dimension_count"});
  return list;
}

// "7" and "attn_q.weight" of "blk.7.attn_q.weight"; empty when it is no layer's.
std::pair<std::string_view, std::string_view> SplitName(std::string_view name) {
  if (!name.starts_with("blk.")) return {};
  const size_t dot = name.find('.', 4);
  if (dot == std::string_view::npos) return {};
  return {name.substr(4, dot - 4), name.substr(dot + 1)};
}

Status RefuseUnknown(const ModelFile& file, const ModelConfig& config, const std::set<std::string>& known) {
  std::set<std::string, std::less<>> layers, parts;
  for (const std::string& name : known) {
    const auto [layer, part] = SplitName(name);
    layers.emplace(layer);
    parts.emplace(part);
  }
  for (const TensorInfo& tensor : file.tensors()) {
    if (known.contains(tensor.name)) continue;
    const auto [layer, part] = SplitName(tensor.name);
    const bool is_layers = !part.empty() && parts.contains(part);
    if (is_layers && layers.contains(layer))
      return Contradiction(
          file,
          fmt::format("tensor {}: layer {} has {} a router of experts (ffn_gate_inp)", tensor.name, layer,
                      known.contains(fmt::format("blk.{}.ffn_gate_inp.weight", layer)) ? "also" : "not"));
    if (is_layers)
      return Contradiction(file, fmt::format("tensor {}: block_count is {}", tensor.name, config.num_layers));
    return Unimplemented(
        fmt::format("{}: tensor {} is not part of the {} models that weir computes; use another file",
                    file.path(), tensor.name, config.architecture));
  }
  return OkStatus();
}

}  // namespace

std::vector<ExpectedTensor> LayerTensors(const ModelConfig& config, int layer) {
  const auto name = [layer](const char* part) { return fmt::format("blk.{}.{}", layer, part); };
  const auto hidden = static_cast<uint64_t>(config.hidden_size);
  const auto ffn = static_cast<uint64_t>(config.ffn_size);
  const auto dim = static_cast<uint64_t>(config.head_dim);
  const uint64_t q = static_cast<uint64_t>(config.num_heads) * dim;
  const uint64_t kv = static_cast<uint64_t>(config.num_kv_heads) * dim;
  std::vector<ExpectedTensor> list = {{name("attn_norm.weight"), hidden, 1, kWidth},
                                      {name("attn_output.weight"), q, hidden, kHeads},
                                      {name("ffn_norm.weight"), hidden, 1, kWidth}};
  if (config.fused_qkv) {
    list.push_back({name("attn_qkv.weight"), hidden, q + 2 * kv, kHeads});
  } else {
    list.push_back({name("attn_q.weight"), hidden, q, kHeads});
    list.push_back({name("attn_k.weight"), hidden, kv, kHeads});
    list.push_back({name("attn_v.weight"), hidden, kv, kHeads});
  }
  if (config.layers[static_cast<size_t>(layer)].experts) {
    const auto experts = static_cast<uint64_t>(config.num_experts);
    const auto share = static_cast<uint64_t>(config.expert_ffn_size);
    list.push_back({name("ffn_gate_inp.weight"), hidden, experts, kExperts});
    list.push_back({name("ffn_gate_exps.weight"), hidden, experts * share, kExperts});
    list.push_back({name("ffn_up_exps.weight"), hidden, experts * share, kExperts});
    list.push_back({name("ffn_down_exps.weight"), share, experts * hidden, kExperts});
  } else {
    if (!config.fused_qkv) list.push_back({name("ffn_gate.weight"), hidden, ffn, kFeedForward});
    list.push_back({name("ffn_up.weight"), hidden, config.fused_qkv ? 2 * ffn : ffn, kFeedForward});
    list.push_back({name("ffn_down.weight"), ffn, hidden, kFeedForward});
  }
  if (config.attention_biases) {
    list.push_back({name("attn_q.bias"), q, 1, kHeads});
    list.push_back({name("attn_k.bias"), kv, 1, kHeads});
    list.push_back({name("attn_v.bias"), kv, 1, kHeads});
  }
  if (config.head_norms) {
    list.push_back({name("attn_q_norm.weight"), dim, 1, "head sizes"});
    list.push_back({name("attn_k_norm.weight"), dim, 1, "head sizes"});
  }
  if (config.post_norms) {
    list.push_back({name("post_attention_norm.weight"), hidden, 1, kWidth});
    list.push_back({name("post_ffw_norm.weight"), hidden, 1, kWidth});
  }
  return list;
}

Status CheckTensors(const ModelFile& file, const ModelConfig& config) {
  std::set<std::string> known;
  const auto check = [&](const std::vector<ExpectedTensor>& list) {
    for (const ExpectedTensor& expected : list) {
      WEIR_RETURN_IF_ERROR(CheckTensor(file, expected));
      known.insert(expected.name);
    }
    return OkStatus();
  };
  WEIR_RETURN_IF_ERROR(check(TensorsBesideLayers(file, config)));
  for (int layer = 0; layer < config.num_layers; ++layer)
    WEIR_RETURN_IF_ERROR(check(LayerTensors(config, layer)));
  if (file.tensors().size() == known.size()) return OkStatus();
  return RefuseUnknown(file, config, known);
}

}  // namespace weir
