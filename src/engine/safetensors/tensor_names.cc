#include "engine/safetensors/tensor_names.h"

#include <fmt/format.h>

#include <cstdlib>
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
    {"mlp.gate", "ffn_gate_inp"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
};

constexpr std::pair<std::string_view, std::string_view> kExpertParts[] = {
    {"gate_proj", "ffn_gate_exps"},
    {"up_proj", "ffn_up_exps"},
    {"down_proj", "ffn_down_exps"},
};

bool IsNumber(std::string_view text) {
  return !text.empty() && text.size() <= 4 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// "model.layers.7.mlp.gate_proj.weight" in its pieces.
struct LayerTensorName {
  std::string_view layer;
  std::string_view part;
  std::string_view kind;
};

std::optional<LayerTensorName> SplitName(std::string_view name) {
  constexpr std::string_view kLayers = "model.layers.";
  if (!name.starts_with(kLayers)) return std::nullopt;
  name.remove_prefix(kLayers.size());
  const size_t dot = name.find('.');
  const size_t last = name.rfind('.');
  if (dot == std::string_view::npos || last <= dot) return std::nullopt;
  const LayerTensorName out{name.substr(0, dot), name.substr(dot + 1, last - dot - 1), name.substr(last + 1)};
  if (!IsNumber(out.layer) || (out.kind != "weight" && out.kind != "bias")) return std::nullopt;
  return out;
}

}  // namespace

std::optional<ExpertName> ExpertNameOf(std::string_view name) {
  const auto split = SplitName(name);
  constexpr std::string_view kExperts = "mlp.experts.";
  if (!split || split->kind != "weight" || !split->part.starts_with(kExperts)) return std::nullopt;
  const std::string_view rest = split->part.substr(kExperts.size());
  const size_t dot = rest.find('.');
  if (dot == std::string_view::npos || !IsNumber(rest.substr(0, dot))) return std::nullopt;
  for (const auto& [from, to] : kExpertParts)
    if (rest.substr(dot + 1) == from)
      return ExpertName{fmt::format("blk.{}.{}.weight", split->layer, to),
                        std::atoi(std::string(rest.substr(0, dot)).c_str())};
  return std::nullopt;
}

std::optional<std::string> GgufNameOf(std::string_view name, bool is_gemma) {
  if (name.ends_with("rotary_emb.inv_freq")) return std::string();
  for (const auto& [from, to] : kWhole)
    if (name == from) return std::string(to);
  const auto split = SplitName(name);
  if (!split) return std::nullopt;
  const auto& [layer, part, kind] = *split;
  // Gemma norms what attention adds; the others have the next half's norm under the same name.
  if (part == "post_attention_layernorm")
    return fmt::format("blk.{}.{}.{}", layer, is_gemma ? "post_attention_norm" : "ffn_norm", kind);
  for (const auto& [from, to] : kParts)
    if (part == from) return fmt::format("blk.{}.{}.{}", layer, to, kind);
  return std::nullopt;
}

}  // namespace weir
