#include "cli/model_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <utility>

#include "engine/kernels/thread_pool.h"

namespace weir {
namespace {

// "blk.12.ffn_up.weight" -> "blk.*.ffn_up.weight"
std::string WithoutLayer(const std::string& name) {
  if (!name.starts_with("blk.")) return name;
  size_t end = 4;
  while (end < name.size() && std::isdigit(static_cast<unsigned char>(name[end])) != 0) ++end;
  return end == 4 ? name : "blk.*" + name.substr(end);
}

void AddTensors(const ModelFile& file, ModelSummary* out) {
  std::map<DType, TypeShare> shares;
  std::map<std::pair<std::string, std::pair<DType, std::vector<uint64_t>>>, size_t> group_of;
  int64_t bytes = 0;
  for (const TensorInfo& tensor : file.tensors()) {
    const auto elements = static_cast<int64_t>(tensor.num_elements());
    const auto size = static_cast<int64_t>(tensor.num_bytes());
    TypeShare& share = shares[tensor.dtype];
    share.dtype = tensor.dtype;
    share.num_tensors += 1;
    share.elements += elements;
    share.bytes += size;
    out->parameters += elements;
    bytes += size;
    const std::string name = WithoutLayer(tensor.name);
    const auto [at, is_new] =
        group_of.emplace(std::pair(name, std::pair(tensor.dtype, tensor.dims)), out->groups.size());
    if (is_new) out->groups.push_back({name, &tensor, 0, 0});
    out->groups[at->second].num_tensors += 1;
    out->groups[at->second].bytes += size;
  }
  for (const auto& [dtype, share] : shares) out->types.push_back(share);
  std::sort(out->types.begin(), out->types.end(),
            [](const TypeShare& a, const TypeShare& b) { return a.bytes > b.bytes; });
  if (out->parameters > 0)
    out->bits_per_weight = 8.0 * static_cast<double>(bytes) / static_cast<double>(out->parameters);
}

ModelMemory PlanMemory(const ModelSummary& summary, const MachineMemory& machine, double memory_utilization) {
  ModelMemory out;
  for (const TypeShare& share : summary.types) out.weight_bytes += share.bytes;
  out.kv_bytes_per_token = summary.config->kv_shape().bytes_per_token();
  out.kv_bytes_per_context = out.kv_bytes_per_token * summary.config->max_context;
  out.machine = machine;
  const auto budget = static_cast<int64_t>(memory_utilization * static_cast<double>(machine.available_bytes));
  if (out.kv_bytes_per_token > 0) {
    out.tokens_that_fit = std::max<int64_t>(0, budget - out.weight_bytes) / out.kv_bytes_per_token;
  }
  out.room = {.budget_bytes = BudgetBeside(out.weight_bytes, machine, memory_utilization),
              .bytes_per_sequence = out.kv_bytes_per_context +
                                    int64_t{summary.config->vocab_size} * static_cast<int64_t>(sizeof(float)),
              .tokens_per_context = summary.config->max_context};
  return out;
}

Json TensorJson(const TensorInfo& tensor) {
  return {{"name", tensor.name},
          {"type", std::string(Traits(tensor.dtype).name)},
          {"dims", tensor.dims},
          {"bytes", tensor.num_bytes()},
          {"offset", tensor.offset}};
}

Json ConfigJson(const ModelConfig& config) {
  return {{"num_layers", config.num_layers},
          {"hidden_size", config.hidden_size},
          {"num_heads", config.num_heads},
          {"num_kv_heads", config.num_kv_heads},
          {"head_dim", config.head_dim},
          {"ffn_size", config.ffn_size},
          {"num_experts", config.num_experts},
          {"experts_per_token", config.experts_per_row},
          {"expert_ffn_size", config.expert_ffn_size},
          {"vocab_size", config.vocab_size},
          {"max_context", config.max_context},
          {"rope_theta", config.ropes.front().theta},
          {"rms_epsilon", config.rms_epsilon},
          {"tied_embeddings", config.tied_embeddings}};
}

Json MemoryJson(const ModelMemory& memory, const ModelConfig& config) {
  return {{"weight_bytes", memory.weight_bytes},
          {"kv_cache_dtype", KvDtypeName(config.kv_dtype)},
          {"kv_bytes_per_token", memory.kv_bytes_per_token},
          {"kv_bytes_per_context", memory.kv_bytes_per_context},
          {"machine_bytes", memory.machine.total_bytes},
          {"machine_available_bytes", memory.machine.available_bytes},
          {"kv_tokens_that_fit", memory.tokens_that_fit},
          {"max_num_seqs", AutoMaxNumSeqs(memory.room, ThreadPool::AvailableCores())}};
}

}  // namespace

Result<ModelSummary> SummarizeModel(const ModelFile& file, const MachineMemory& machine,
                                    double memory_utilization, KvDtype kv_dtype) {
  ModelSummary out;
  AddTensors(file, &out);
  if (file.FindMetadata("general.architecture") != nullptr) {
    WEIR_ASSIGN_OR_RETURN(const std::string_view architecture, file.GetString("general.architecture"));
    out.architecture = std::string(architecture);
  }
  if (file.FindMetadata("general.name") != nullptr) {
    WEIR_ASSIGN_OR_RETURN(const std::string_view name, file.GetString("general.name"));
    out.name = std::string(name);
  }
  Result<ModelConfig> config = ReadModelConfig(file);
  if (config.has_value()) {
    out.config = *config;
    out.config->kv_dtype = kv_dtype;
    out.memory = PlanMemory(out, machine, memory_utilization);
  } else if (config.error().code() == StatusCode::kUnimplemented) {
    out.obstacle = config.error().message();
  } else {
    return std::move(config).error();
  }
  return out;
}

Json ToJson(const ModelSummary& summary, const ModelFile& file) {
  Json out;
  out["path"] = file.path();
  out["file_bytes"] = file.file_bytes();
  out["gguf_version"] = file.version();
  out["name"] = summary.name;
  out["architecture"] = summary.architecture;
  out["servable"] = summary.obstacle.empty();
  out["obstacle"] = summary.obstacle.empty() ? Json(nullptr) : Json(summary.obstacle);
  out["parameters"] = summary.parameters;
  out["bits_per_weight"] = summary.bits_per_weight;
  out["types"] = Json::array();
  for (const TypeShare& share : summary.types) {
    out["types"].push_back({{"type", std::string(Traits(share.dtype).name)},
                            {"tensors", share.num_tensors},
                            {"elements", share.elements},
                            {"bytes", share.bytes}});
  }
  out["config"] = summary.config ? ConfigJson(*summary.config) : Json(nullptr);
  out["memory"] = summary.memory ? MemoryJson(*summary.memory, *summary.config) : Json(nullptr);
  out["metadata"] = Json::object();
  for (const MetadataEntry& entry : file.metadata()) out["metadata"][entry.key] = MetadataJson(entry);
  out["tensors"] = Json::array();
  for (const TensorInfo& tensor : file.tensors()) out["tensors"].push_back(TensorJson(tensor));
  return out;
}

}  // namespace weir
