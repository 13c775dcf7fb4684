#include "engine/safetensors/tensor_names.h"

#include <fmt/format.h>

#include <utility>

namespace weir {
namespace {

constexpr std::pair<std::string_view, std::string_view> kWhole[] = {
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
};

constexpr std::pair<std::string_view, std::string_view> kParts[] = {
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.qkv_proj", "attn_qkv"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.gate_up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
};

}  // namespace

std::optional<std::string> GgufNameOf(std::string_view name, bool is_gemma) {
  if (name.ends_with("rotary_emb.inv_freq")) return std::string();
  for (const auto& [from, to] : kWhole)
    if (name == from) return std::string(to);
  constexpr std::string_view kLayers = "model.layers.";
  if (!name.starts_with(kLayers)) return std::nullopt;
  name.remove_prefix(kLayers.size());
  const size_t dot = name.find('.');
  const size_t last = name.rfind('.');
  if (dot == std::string_view::npos || last <= dot) return std::nullopt;
  const std::string_view layer = name.substr(0, dot);
  const std::string_view part = name.substr(dot + 1, last - dot - 1);
  const std::string_view kind = name.substr(last + 1);
  if (layer.empty() || layer.size() > 4 || layer.find_first_not_of("0123456789") != std::string_view::npos ||
      (kind != "weight" && kind != "bias"))
    return std::nullopt;
  // Gemma norms what attention adds; the others have the next half's norm under the same name.
  if (part == "post_attention_layernorm")
    return fmt::format("blk.{}.{}.{}", layer, is_gemma ? "post_attention_norm" : "ffn_norm", kind);
  for (const auto& [from, to] : kParts)
    if (part == from) return fmt::format("blk.{}.{}.{}", layer, to, kind);
  return std::nullopt;
}

}  // namespace weir
