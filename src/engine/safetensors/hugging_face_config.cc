#include "engine/safetensors/hugging_face_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/json.h"
#include "base/utf8.h"

namespace weir {
namespace {

constexpr HuggingFaceArchitecture kArchitectures[] = {
    {"LlamaForCausalLM", "llama"},
    {"MistralForCausalLM", "llama"},
    {"Qwen2ForCausalLM", "qwen2"},
    {"Qwen3ForCausalLM", "qwen3"},
    {"Phi3ForCausalLM", "phi3"},
    {"Gemma2ForCausalLM", "gemma2", true},
    {"Gemma3ForCausalLM", "gemma3", true},
    {"SmolLM3ForCausalLM", "smollm3", false, true},
    {"Qwen3MoeForCausalLM", "qwen3moe", false, false, true},
};

class Reader {
 public:
  Reader(std::string path, Json root, MetadataWriter* out)
      : path_(std::move(path)), root_(std::move(root)), out_(out) {}

  Result<HuggingFaceConfig> Read() {
    WEIR_RETURN_IF_ERROR(FindArchitecture());
    WEIR_RETURN_IF_ERROR(RefuseUnsupported());
    WEIR_RETURN_IF_ERROR(WriteSizes());
    WEIR_RETURN_IF_ERROR(WriteRope());
    WEIR_RETURN_IF_ERROR(WriteWindows());
    WEIR_RETURN_IF_ERROR(WriteRest());
    return std::move(config_);
  }

 private:
  Status Bad(std::string_view key, const std::string& what) const {
    return DataLoss(fmt::format("{}: key {}: {}", path_, key, what));
  }
  Status Lacks(std::string_view key, const std::string& what) const {
    return Unimplemented(fmt::format("{}: key {}: {}", path_, key, what));
  }
  // Null when it is not there or null.
  static const Json* Find(const Json& in, std::string_view key) {
    const Json* value = FindJson(in, {key});
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  const Json* Find(std::string_view key) const { return Find(root_, key); }

  Result<uint32_t> Uint(std::string_view key, std::optional<uint32_t> fallback = {}) const {
    const Json* value = Find(key);
    if (value == nullptr && fallback.has_value()) return *fallback;
    if (value == nullptr) return Bad(key, "is missing");
    if (!value->is_number_integer() || *value < 0 || *value > uint64_t{std::numeric_limits<int32_t>::max()})
      return Bad(
          key, fmt::format("expected a whole number from 0 on, found {}", QuoteForMessage(DumpJson(*value))));
    return value->get<uint32_t>();
  }
  Result<double> Number(const Json& in, std::string_view key, std::optional<double> fallback = {}) const {
    const Json* value = Find(in, key);
    if (value == nullptr && fallback.has_value()) return *fallback;
    if (value == nullptr) return Bad(key, "is missing");
    if (!value->is_number())
      return Bad(key, fmt::format("expected a number, found {}", QuoteForMessage(DumpJson(*value))));
    return value->get<double>();
  }
  Result<bool> Flag(std::string_view key, bool fallback) const {
    const Json* value = Find(key);
    if (value == nullptr) return fallback;
    if (!value->is_boolean())
      return Bad(key, fmt::format("expected true or false, found {}", QuoteForMessage(DumpJson(*value))));
    return value->get<bool>();
  }

  std::string Key(std::string_view name) const {
    return fmt::format("{}.{}", config_.architecture->name, name);
  }

  Status FindArchitecture() {
    const Json* classes = Find("architectures");
    std::string name;
    if (classes != nullptr && classes->is_array() && classes->size() == 1 && classes->front().is_string())
      name = classes->front().get<std::string>();
    if (name.empty()) return Bad("architectures", "expected a list of one name");
    std::string known;
    for (const HuggingFaceArchitecture& architecture : kArchitectures) {
      if (architecture.class_name == name) config_.architecture = &architecture;
      known += known.empty() ? "" : ", ";
      known += architecture.class_name;
    }
    if (config_.architecture == nullptr)
      return Lacks("architectures",
                   fmt::format("\"{}\" is not one that weir computes ({}); use another model",
                               QuoteForMessage(name), known));
    out_->SetString("general.architecture", config_.architecture->name);
    return OkStatus();
  }

  Status RefuseUnsupported() const {
    if (const Json* compression = Find("quantization_config"); compression != nullptr) {
      const std::string method = JsonString(Find(*compression, "quant_method")).value_or("unknown");
      return Lacks(
          "quantization_config",
          fmt::format(
              "the checkpoint is compressed by \"{}\", which weir does not read; use the original it was "
              "made from, with --quantization q4_0 or q8_0, or a GGUF file",
              QuoteForMessage(method)));
    }
    const char* wanted = config_.architecture->is_gemma ? "gelu_pytorch_tanh" : "silu";
    for (const char* key : {"hidden_activation", "hidden_act"}) {
      const Json* value = Find(key);
      if (value == nullptr) continue;
      const std::string found = JsonString(value).value_or(DumpJson(*value));
      if (found != wanted && !(config_.architecture->is_gemma && found == "gelu"))
        return Lacks(key, fmt::format("\"{}\" is not the {} that weir computes for {}",
                                      QuoteForMessage(found), wanted, config_.architecture->class_name));
      break;
    }
    WEIR_ASSIGN_OR_RETURN(const bool mlp_bias, Flag("mlp_bias", false));
    if (mlp_bias)
      return Lacks("mlp_bias", "biases of the feed-forward layers are not computed; use another model");
    return OkStatus();
  }

  Status WriteSizes() {
    WEIR_ASSIGN_OR_RETURN(const uint32_t layers, Uint("num_hidden_layers"));
    WEIR_ASSIGN_OR_RETURN(const uint32_t hidden, Uint("hidden_size"));
    WEIR_ASSIGN_OR_RETURN(const uint32_t heads, Uint("num_attention_heads"));
    WEIR_ASSIGN_OR_RETURN(const uint32_t kv_heads, Uint("num_key_value_heads", heads));
    WEIR_ASSIGN_OR_RETURN(const uint32_t ffn, Uint("intermediate_size"));
    WEIR_ASSIGN_OR_RETURN(const uint32_t context, Uint("max_position_embeddings"));
    WEIR_ASSIGN_OR_RETURN(const uint32_t vocabulary, Uint("vocab_size"));
    if (heads == 0) return Bad("num_attention_heads", "expected at least 1, found 0");
    WEIR_ASSIGN_OR_RETURN(const uint32_t head_dim,
                          Uint("head_dim", config_.architecture->is_gemma ? 256 : hidden / heads));
    WEIR_ASSIGN_OR_RETURN(const double epsilon,
                          Number(root_, "rms_norm_eps", config_.architecture->is_gemma ? 1e-6 : 1e-5));
    // As many as any model of today has; the sizes themselves are judged with GGUF's.
    if (layers == 0 || layers > 4096)
      return Bad("num_hidden_layers", fmt::format("expected 1 to 4096, found {}", layers));
    config_.num_layers = static_cast<int>(layers);
    if (vocabulary == 0 || vocabulary > (1u << 24))
      return Bad("vocab_size", fmt::format("expected 1 to {}, found {}", 1u << 24, vocabulary));
    config_.vocab_size = vocabulary;
    head_dim_ = head_dim;
    context_ = context;
    out_->SetUint32(Key("block_count"), layers);
    out_->SetUint32(Key("embedding_length"), hidden);
    out_->SetUint32(Key("attention.head_count"), heads);
    out_->SetUint32(Key("attention.head_count_kv"), kv_heads);
    out_->SetUint32(Key("attention.key_length"), head_dim);
    out_->SetUint32(Key("feed_forward_length"), ffn);
    out_->SetUint32(Key("context_length"), context);
    out_->SetUint32(Key("vocab_size"), vocabulary);
    out_->SetFloat32(Key("attention.layer_norm_rms_epsilon"), static_cast<float>(epsilon));
    return OkStatus();
  }

  // One kind of layers' rotation: what is written under rope_parameters, or beside it in older files.
  Status WriteScaling(const Json& rope) {
    const Json* type_value = Find(rope, "rope_type");
    if (type_value == nullptr) type_value = Find(rope, "type");
    const std::string type = type_value == nullptr ? "default" : JsonString(type_value).value_or("");
    if (type == "default") return OkStatus();
    if (type == "longrope" || type == "su") return WriteLongrope(rope);
    if (type != "linear" && type != "yarn" && type != "llama3")
      return Lacks(
          "rope_scaling",
          fmt::format("\"{}\" is not computed; weir knows default, linear, yarn, llama3 and longrope",
                      QuoteForMessage(type)));
    WEIR_ASSIGN_OR_RETURN(const double factor, Number(rope, "factor"));
    out_->SetString(Key("rope.scaling.type"), type);
    out_->SetFloat32(Key("rope.scaling.factor"), static_cast<float>(factor));
    if (type == "linear") return OkStatus();
    WEIR_ASSIGN_OR_RETURN(const double original,
                          Number(rope, "original_max_position_embeddings", static_cast<double>(context_)));
    if (!(original >= 1 && original <= 1e9))
      return Bad("original_max_position_embeddings", fmt::format("expected 1 to 1e9, found {}", original));
    out_->SetUint32(Key("rope.scaling.original_context_length"), static_cast<uint32_t>(original));
    const auto copy = [&](const char* from, const char* to) -> Status {
      if (Find(rope, from) == nullptr) return OkStatus();
      WEIR_ASSIGN_OR_RETURN(const double value, Number(rope, from));
      out_->SetFloat32(Key(to), static_cast<float>(value));
      return OkStatus();
    };
    if (type == "llama3") {
      WEIR_RETURN_IF_ERROR(copy("low_freq_factor", "rope.scaling.low_freq_factor"));
      return copy("high_freq_factor", "rope.scaling.high_freq_factor");
    }
    for (const char* key : {"mscale", "mscale_all_dim", "truncate"})
      if (const Json* value = Find(rope, key); value != nullptr && *value != true)
        return Lacks(key, "this form of yarn is not computed; use another model");
    if (Find(rope, "attention_factor") != nullptr && factor > 0) {
      WEIR_ASSIGN_OR_RETURN(const double wanted, Number(rope, "attention_factor"));
      out_->SetFloat32(Key("rope.scaling.attn_factor"),
                       static_cast<float>(factor > 1 ? wanted / (0.1 * std::log(factor) + 1) : wanted));
    }
    WEIR_RETURN_IF_ERROR(copy("beta_fast", "rope.scaling.yarn_beta_fast"));
    return copy("beta_slow", "rope.scaling.yarn_beta_slow");
  }

  Status WriteLongrope(const Json& rope) {
    const Json* factors = Find(rope, "short_factor");
    if (factors == nullptr || !factors->is_array()) return Bad("short_factor", "expected a list of numbers");
    for (const Json& factor : *factors) {
      if (!factor.is_number()) return Bad("short_factor", "expected a list of numbers");
      config_.short_factors.push_back(factor.get<float>());
    }
    const bool beside = Find(rope, "original_max_position_embeddings") == nullptr;
    WEIR_ASSIGN_OR_RETURN(const double original,
                          Number(beside ? root_ : rope, "original_max_position_embeddings"));
    if (!(original >= 2 && original <= 1e9))
      return Bad("original_max_position_embeddings", fmt::format("expected 2 to 1e9, found {}", original));
    WEIR_ASSIGN_OR_RETURN(const double stretch,
                          Number(rope, "factor", static_cast<double>(context_) / original));
    WEIR_ASSIGN_OR_RETURN(const double attention,
                          Number(rope, "attention_factor",
                                 stretch > 1 ? std::sqrt(1 + std::log(stretch) / std::log(original)) : 1.0));
    out_->SetUint32(Key("rope.scaling.original_context_length"), static_cast<uint32_t>(original));
    out_->SetFloat32(Key("rope.scaling.attn_factor"), static_cast<float>(attention));
    return OkStatus();
  }

  Status WriteRope() {
    static const Json kNothing = Json::object();
    const Json* parameters = Find("rope_parameters");
    if (parameters == nullptr) parameters = Find("rope_scaling");
    if (parameters == nullptr) parameters = &kNothing;
    if (!parameters->is_object()) return Bad("rope_parameters", "expected an object");
    const Json* full = Find(*parameters, "full_attention");
    const Json* local = Find(*parameters, "sliding_attention");
    const Json& rope = full == nullptr ? *parameters : *full;
    const bool is_gemma3 = config_.architecture->name == "gemma3";
    const bool beside = Find(rope, "rope_theta") == nullptr;
    WEIR_ASSIGN_OR_RETURN(const double theta,
                          Number(beside ? root_ : rope, "rope_theta", is_gemma3 ? 1e6 : 10000.0));
    out_->SetFloat32(Key("rope.freq_base"), static_cast<float>(theta));
    if (is_gemma3) {
      WEIR_ASSIGN_OR_RETURN(const double of_local, local == nullptr
                                                       ? Number(root_, "rope_local_base_freq", 10000.0)
                                                       : Number(*local, "rope_theta", 10000.0));
      out_->SetFloat32(Key("rope.freq_base_swa"), static_cast<float>(of_local));
    }
    const bool partial_beside = Find(rope, "partial_rotary_factor") == nullptr;
    WEIR_ASSIGN_OR_RETURN(const double partial,
                          Number(partial_beside ? root_ : rope, "partial_rotary_factor", 1.0));
    if (!(partial > 0 && partial <= 1))
      return Bad("partial_rotary_factor", fmt::format("expected above 0 and at most 1, found {}", partial));
    config_.rope_dims = static_cast<int>(partial * head_dim_);
    out_->SetUint32(Key("rope.dimension_count"), static_cast<uint32_t>(config_.rope_dims));
    out_->SetBool(Key("rope.pairs_are_halves"), true);
    return WriteScaling(rope);
  }

  // Whether the layers that see everything are every `period`-th, counted from the end of a period.
  Status CheckPattern(const Json& types, uint32_t period) const {
    if (!types.is_array() || types.size() != static_cast<size_t>(config_.num_layers))
      return Bad("layer_types", "expected a list with an entry for each layer");
    for (size_t i = 0; i < types.size(); ++i) {
      const bool sees_all = period == 0 || (i + 1) % period == 0;
      if (types[i] != (sees_all ? "full_attention" : "sliding_attention"))
        return Lacks(
            "layer_types",
            fmt::format("entry {} is {}; weir computes {} only", i, QuoteForMessage(DumpJson(types[i])),
                        period == 0 ? std::string("full_attention")
                                    : fmt::format("full_attention in every {}th layer", period)));
    }
    return OkStatus();
  }

  Status WriteWindows() {
    const std::string_view name = config_.architecture->name;
    const Json* types = Find("layer_types");
    WEIR_ASSIGN_OR_RETURN(const uint32_t window, Uint("sliding_window", 0));
    if (config_.architecture->is_gemma) {
      WEIR_ASSIGN_OR_RETURN(uint32_t period, Uint("sliding_window_pattern", name == "gemma2" ? 2 : 6));
      if (Find("_sliding_window_pattern") != nullptr) {
        WEIR_ASSIGN_OR_RETURN(period, Uint("_sliding_window_pattern"));
      }
      if (types != nullptr) WEIR_RETURN_IF_ERROR(CheckPattern(*types, period));
      out_->SetUint32(Key("attention.sliding_window_pattern"), period);
      WEIR_ASSIGN_OR_RETURN(const uint32_t usual, Uint("sliding_window", 4096));
      out_->SetUint32(Key("attention.sliding_window"), usual);
      return OkStatus();
    }
    WEIR_ASSIGN_OR_RETURN(const bool used,
                          Flag("use_sliding_window",
                               config_.architecture->class_name == "MistralForCausalLM" || name == "phi3"));
    if (name == "llama" || name == "phi3") {
      if (used && window > 0) out_->SetUint32(Key("attention.sliding_window"), window);
      return OkStatus();
    }
    if (types != nullptr) return CheckPattern(*types, 0);
    if (used && window > 0 && window < context_)
      return Lacks("use_sliding_window", "windows are not computed for this architecture; use another model");
    return OkStatus();
  }

  Status WriteNoRopeLayers() {
    WEIR_ASSIGN_OR_RETURN(const uint32_t interval, Uint("no_rope_layer_interval", 4));
    if (interval == 0) return Bad("no_rope_layer_interval", "expected at least 1, found 0");
    out_->SetUint32(Key("attention.no_rope_layer_interval"), interval);
    const Json* layers = Find("no_rope_layers");  // 1 for those that have positions
    if (layers == nullptr) return OkStatus();
    if (!layers->is_array() || layers->size() != static_cast<size_t>(config_.num_layers))
      return Bad("no_rope_layers", "expected a list with an entry for each layer");
    for (size_t i = 0; i < layers->size(); ++i)
      if ((*layers)[i] != ((i + 1) % interval == 0 ? 0 : 1))
        return Lacks("no_rope_layers", fmt::format("entry {} is {}, but no_rope_layer_interval is {}", i,
                                                   QuoteForMessage(DumpJson((*layers)[i])), interval));
    return OkStatus();
  }

  // Every `decoder_sparse_step`-th layer but for those that are named.
  Status FindExpertLayers() {
    WEIR_ASSIGN_OR_RETURN(const uint32_t step, Uint("decoder_sparse_step", 1));
    if (step == 0) return Bad("decoder_sparse_step", "expected at least 1, found 0");
    for (uint32_t i = 0; i < static_cast<uint32_t>(config_.num_layers); ++i)
      config_.has_experts.push_back((i + 1) % step == 0);
    const Json* plain = Find("mlp_only_layers");
    if (plain == nullptr) return OkStatus();
    const auto refuse = [&] {
      return Bad("mlp_only_layers", fmt::format("expected a list of layers from 0 to {}, found {}",
                                                config_.num_layers - 1, QuoteForMessage(DumpJson(*plain))));
    };
    if (!plain->is_array()) return refuse();
    for (const Json& layer : *plain) {
      if (!layer.is_number_integer() || layer < 0 || layer >= config_.num_layers) return refuse();
      config_.has_experts[layer.get<size_t>()] = false;
    }
    return OkStatus();
  }

  Status WriteExperts() {
    // Older and newer files have different names for it.
    const char* key = Find("num_experts") == nullptr ? "num_local_experts" : "num_experts";
    WEIR_ASSIGN_OR_RETURN(const uint32_t experts, Uint(key));
    WEIR_ASSIGN_OR_RETURN(const uint32_t used, Uint("num_experts_per_tok"));
    WEIR_ASSIGN_OR_RETURN(const uint32_t ffn, Uint("moe_intermediate_size"));
    WEIR_ASSIGN_OR_RETURN(const bool normalized, Flag("norm_topk_prob", false));
    if (experts == 0 || experts > 4096) return Bad(key, fmt::format("expected 1 to 4096, found {}", experts));
    config_.num_experts = static_cast<int>(experts);
    WEIR_RETURN_IF_ERROR(FindExpertLayers());
    out_->SetUint32(Key("expert_count"), experts);
    out_->SetUint32(Key("expert_used_count"), used);
    out_->SetUint32(Key("expert_feed_forward_length"), ffn);
    out_->SetBool(Key("expert_weights_norm"), normalized);
    return OkStatus();
  }

  Status WriteRest() {
    config_.states_tie = Find("tie_word_embeddings") != nullptr;
    WEIR_ASSIGN_OR_RETURN(config_.tied_embeddings, Flag("tie_word_embeddings", false));
    if (config_.architecture->no_rope_layers) WEIR_RETURN_IF_ERROR(WriteNoRopeLayers());
    if (config_.architecture->has_experts) WEIR_RETURN_IF_ERROR(WriteExperts());
    if (!config_.architecture->is_gemma) return OkStatus();
    for (const auto& [from, to] : {std::pair("attn_logit_softcapping", "attn_logit_softcapping"),
                                   std::pair("final_logit_softcapping", "final_logit_softcapping")}) {
      // A null switches it off; a missing key means the family's own.
      if (FindJson(root_, {from}) == nullptr) continue;
      WEIR_ASSIGN_OR_RETURN(const double cap, Number(root_, from, 0.0));
      out_->SetFloat32(Key(to), static_cast<float>(cap));
    }
    WEIR_ASSIGN_OR_RETURN(const double scalar, Number(root_, "query_pre_attn_scalar", 256.0));
    if (!(scalar > 0))
      return Bad("query_pre_attn_scalar", fmt::format("expected a positive number, found {}", scalar));
    out_->SetFloat32(Key("attention.scale"), static_cast<float>(1 / std::sqrt(scalar)));
    return OkStatus();
  }

  std::string path_;
  Json root_;
  MetadataWriter* out_;
  HuggingFaceConfig config_;
  uint32_t head_dim_ = 0;
  uint32_t context_ = 0;
};

}  // namespace

std::span<const HuggingFaceArchitecture> KnownHuggingFaceArchitectures() { return kArchitectures; }

Result<HuggingFaceConfig> HuggingFaceConfig::Read(const std::string& directory, MetadataWriter* out) {
  const std::string path = directory + "/config.json";
  WEIR_ASSIGN_OR_RETURN(Json root, ReadJsonFile(path));
  if (!root.is_object()) return DataLoss(fmt::format("{}: expected an object", path));
  return Reader(path, std::move(root), out).Read();
}

}  // namespace weir
