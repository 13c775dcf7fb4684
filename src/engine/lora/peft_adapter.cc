// Directories that PEFT saved: adapter_config.json says how the pairs of adapter_model.safetensors scale.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/utf8.h"
#include "engine/lora/lora_adapter.h"
#include "engine/safetensors/tensor_names.h"

namespace weir {
namespace {

constexpr double kMostRank = 1 << 16;

class Config {
 public:
  Config(std::string path, Json root) : path_(std::move(path)), root_(std::move(root)) {}

  Status Check() {
    const std::string type = JsonString(Find("peft_type")).value_or("");
    if (type != "LORA") return Lacks("peft_type", fmt::format("\"{}\" is not LORA", QuoteForMessage(type)));
    WEIR_RETURN_IF_ERROR(RefuseSwitches());
    // What these hold has an effect beside the pairs, so an answer without them would be another model's.
    for (const char* key : {"modules_to_save", "trainable_token_indices", "layer_replication",
                            "target_parameters", "alora_invocation_tokens"})
      if (const Json* value = Find(key); value != nullptr && !IsEmpty(*value))
        return Lacks(key, "expected null; what it asks for is not computed");
    if (const std::string bias = JsonString(Find("bias")).value_or("none"); bias != "none")
      return Lacks("bias", fmt::format("\"{}\": expected \"none\", since biases are not adapted",
                                       QuoteForMessage(bias)));
    // Other ways to begin change the model's own weights too.
    if (const Json* init = Find("init_lora_weights"); init != nullptr && !init->is_boolean()) {
      const std::string name = JsonString(init).value_or("");
      if (name != "gaussian" && name != "eva" && name != "orthogonal")
        return Lacks("init_lora_weights",
                     fmt::format("{} changes the model's own weights; convert the adapter with PEFT's "
                                 "path_initial_model_for_weight_conversion",
                                 QuoteForMessage(DumpJson(*init))));
    }
    if (const Json* rslora = Find("use_rslora"); rslora != nullptr) is_rslora_ = *rslora == true;
    WEIR_ASSIGN_OR_RETURN(rank_, Number("r", Find("r")));
    WEIR_ASSIGN_OR_RETURN(alpha_, Number("lora_alpha", Find("lora_alpha")));
    for (const char* key : {"rank_pattern", "alpha_pattern"}) WEIR_RETURN_IF_ERROR(CheckPattern(key));
    return OkStatus();
  }

  // `module`: "model.layers.7.self_attn.q_proj".
  double RankOf(std::string_view module) const { return OfPattern("rank_pattern", module).value_or(rank_); }
  double ScaleOf(std::string_view module) const {
    const double rank = RankOf(module);
    return OfPattern("alpha_pattern", module).value_or(alpha_) / (is_rslora_ ? std::sqrt(rank) : rank);
  }
  std::string base_model() const { return JsonString(Find("base_model_name_or_path")).value_or(""); }

 private:
  Status Bad(std::string_view key, const std::string& what) const {
    return DataLoss(fmt::format("{}: key {}: {}", path_, key, what));
  }
  Status Lacks(std::string_view key, const std::string& what) const {
    return Unimplemented(fmt::format("{}: key {}: {}; use a plain LoRA adapter", path_, key, what));
  }
  const Json* Find(std::string_view key) const {
    const Json* value = FindJson(root_, {key});
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  static bool IsEmpty(const Json& value) {
    return (value.is_array() || value.is_object()) ? value.empty() : value == false;
  }

  // Every variant of LoRA that PEFT knows is such a switch: one that is not known here is refused, not overlooked.
  Status RefuseSwitches() const {
    for (const auto& [key, value] : root_.items()) {
      const bool is_switch =
          (key.starts_with("use_") && key != "use_rslora") || key == "lora_bias" || key == "fan_in_fan_out";
      if (is_switch && !value.is_null() && value != false)
        return Lacks(QuoteForMessage(key),
                     fmt::format("{} is not computed", QuoteForMessage(DumpJson(value))));
      constexpr std::string_view kOfTraining[] = {"corda_config",   "eva_config",      "loftq_config",
                                                  "lora_ga_config", "megatron_config", "runtime_config"};
      const bool is_variant =
          key.ends_with("_config") && std::ranges::find(kOfTraining, key) == std::end(kOfTraining);
      if (is_variant && !value.is_null() && !IsEmpty(value))
        return Lacks(QuoteForMessage(key), "this variant of LoRA is not computed");
    }
    return OkStatus();
  }

  Result<double> Number(std::string_view key, const Json* value) const {
    if (value == nullptr) return Bad(key, "is missing");
    const double number = JsonNumber(value).value_or(std::nan(""));
    const bool is_rank = key != "lora_alpha" && !key.starts_with("alpha_pattern");
    if (!std::isfinite(number) ||
        (is_rank && (number < 1 || number > kMostRank || number != std::floor(number))))
      return Bad(key, fmt::format("expected a {}, found {}", is_rank ? "whole number from 1 on" : "number",
                                  QuoteForMessage(DumpJson(*value))));
    return number;
  }

  Status CheckPattern(std::string_view key) const {
    const Json* pattern = Find(key);
    if (pattern == nullptr) return OkStatus();
    if (!pattern->is_object()) return Bad(key, "expected an object");
    for (const auto& [name, value] : pattern->items()) {
      const bool is_plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '.';
      });
      if (!is_plain)
        return Lacks(key, fmt::format("\"{}\" is a regular expression; weir reads names and their ends",
                                      QuoteForMessage(name)));
      WEIR_RETURN_IF_ERROR(Number(fmt::format("{} \"{}\"", key, QuoteForMessage(name)), &value).status());
    }
    return OkStatus();
  }

  // The first that is the module's name or the end of it after a dot, as PEFT takes it.
  std::optional<double> OfPattern(std::string_view key, std::string_view module) const {
    const Json* pattern = Find(key);
    if (pattern == nullptr) return std::nullopt;
    for (const auto& [name, value] : pattern->items())
      if (module == name || module.ends_with("." + name)) return JsonNumber(&value);
    return std::nullopt;
  }

  std::string path_;
  Json root_;
  double rank_ = 0;
  double alpha_ = 0;
  bool is_rslora_ = false;
};

struct Half {
  std::string module;
  bool is_a = false;
};

// "base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight" in its parts.
std::optional<Half> HalfOf(std::string_view name) {
  constexpr std::string_view kPrefix = "base_model.model.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  for (const bool is_a : {true, false}) {
    const std::string_view end = is_a ? ".lora_A.weight" : ".lora_B.weight";
    if (name.ends_with(end)) return Half{std::string(name.substr(0, name.size() - end.size())), is_a};
  }
  return std::nullopt;
}

}  // namespace

Result<LoraAdapter> OpenPeftAdapter(const std::string& directory) {
  LoraAdapter out;
  out.path = directory;
  out.format = "PEFT";
  if (!IsLoraDirectory(directory))
    return NotFound(fmt::format(
        "{} is a directory without adapter_config.json; name a directory that PEFT saved, or a GGUF adapter",
        directory));
  WEIR_ASSIGN_OR_RETURN(Json root, ReadJsonFile(directory + "/adapter_config.json"));
  if (!root.is_object())
    return DataLoss(fmt::format("{}/adapter_config.json: expected an object", directory));
  Config config(directory + "/adapter_config.json", std::move(root));
  WEIR_RETURN_IF_ERROR(config.Check());
  out.base_model = config.base_model();
  const std::string path = directory + "/adapter_model.safetensors";
  WEIR_ASSIGN_OR_RETURN(out.safetensors, SafetensorsFile::Open(path));

  std::map<std::string, std::pair<const StoredTensor*, const StoredTensor*>> modules;
  for (const StoredTensor& tensor : out.safetensors->tensors()) {
    const std::optional<Half> half = HalfOf(tensor.name);
    if (!half)
      return Unimplemented(
          fmt::format("{}: tensor \"{}\" is no half of a LoRA pair (lora_A, lora_B); only plain LoRA on the "
                      "layers' matrices is "
                      "computed",
                      path, QuoteForMessage(tensor.name)));
    (half->is_a ? modules[half->module].first : modules[half->module].second) = &tensor;
  }
  for (const auto& [module, halves] : modules) {
    if (halves.first == nullptr || halves.second == nullptr)
      return DataLoss(fmt::format("{}: \"{}\" has no {}; save the adapter again", path,
                                  QuoteForMessage(module), halves.first == nullptr ? "lora_A" : "lora_B"));
    const std::optional<std::string> target = GgufNameOf(module + ".weight", /*is_gemma=*/false);
    if (!target || target->empty())
      return Unimplemented(
          fmt::format("{}: \"{}\" is not a matrix that weir adapts; train the adapter on the "
                      "layers' attention and feed-forward projections",
                      path, QuoteForMessage(module)));
    LoraPair pair;
    pair.target = *target;
    for (auto [matrix, stored] : {std::pair(&pair.a, halves.first), std::pair(&pair.b, halves.second)}) {
      if (stored->shape.size() != 2)
        return DataLoss(fmt::format("{}: tensor \"{}\" has {} dimensions, expected 2", path,
                                    QuoteForMessage(stored->name), stored->shape.size()));
      *matrix = {stored->name, stored->dtype, stored->shape[0], stored->shape[1], stored->data};
    }
    const double rank = config.RankOf(module);
    if (static_cast<double>(pair.a.rows) != rank)
      return DataLoss(fmt::format("{}: tensor \"{}\" has {} rows, but adapter_config.json says rank {}", path,
                                  QuoteForMessage(pair.a.name), pair.a.rows, rank));
    pair.scale = static_cast<float>(config.ScaleOf(module));
    out.pairs.push_back(std::move(pair));
  }
  if (out.pairs.empty()) return DataLoss(fmt::format("{}: has no tensor; save the adapter again", path));
  return out;
}

}  // namespace weir
