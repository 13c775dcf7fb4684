#include "engine/safetensors/model_directory.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "engine/safetensors/checkpoint_rows.h"
#include "engine/safetensors/hugging_face_config.h"
#include "engine/safetensors/quantized_cache.h"
#include "engine/safetensors/tensor_names.h"
#include "engine/safetensors/tokenizer_json.h"

namespace weir {
namespace {

class Assembler {
 public:
  Assembler(const std::string& directory, const HuggingFaceConfig& config, LoadQuantization quantization,
            Checkpoint checkpoint)
      : directory_(directory),
        config_(config),
        quantization_(quantization),
        rows_(std::make_unique<CheckpointRows>(std::move(checkpoint))) {}

  Status AddTensors() {
    const bool tied =
        config_.states_tie ? config_.tied_embeddings : rows_->checkpoint().Find("lm_head.weight") == nullptr;
    for (const StoredTensor* stored : rows_->checkpoint().tensors()) {
      if (const auto expert = ExpertNameOf(stored->name); expert && config_.num_experts > 0) {
        WEIR_RETURN_IF_ERROR(AddToExperts(*expert, *stored));
        continue;
      }
      const std::optional<std::string> name = GgufNameOf(stored->name, config_.architecture->is_gemma);
      if (!name.has_value())
        return Unimplemented(
            fmt::format("{}: tensor \"{}\" is not part of the {} models that weir computes; use another "
                        "model",
                        directory_, QuoteForMessage(stored->name), config_.architecture->class_name));
      if (name->empty() || (tied && *name == "output.weight")) continue;
      WEIR_RETURN_IF_ERROR(Add(*name, *stored));
    }
    WEIR_RETURN_IF_ERROR(CheckExpertLayers());
    WEIR_RETURN_IF_ERROR(JoinExperts());
    if (config_.short_factors.empty()) return OkStatus();
    TensorInfo factors = Info("rope_factors_short.weight", DType::kF32, {config_.short_factors.size()});
    rows_->Add(factors, config_.short_factors);
    tensors_.push_back(std::move(factors));
    return OkStatus();
  }

  std::vector<TensorInfo> tensors() && { return std::move(tensors_); }
  std::unique_ptr<CheckpointRows> rows() && { return std::move(rows_); }
  // All that the quantized rows depend on.
  std::string Identity() const {
    std::string identity = fmt::format("weir 1 {} {}\n{}", LoadQuantizationName(quantization_),
                                       config_.architecture->class_name, rows_->checkpoint().Identity());
    for (const TensorInfo& tensor : tensors_)
      identity +=
          fmt::format("{} {} {}\n", tensor.name, Traits(tensor.dtype).name, fmt::join(tensor.dims, "x"));
    return identity;
  }

 private:
  TensorInfo Info(std::string name, DType dtype, std::vector<uint64_t> dims) {
    TensorInfo tensor;
    tensor.name = std::move(name);
    tensor.dtype = dtype;
    tensor.dims = std::move(dims);
    tensor.offset = next_offset_;
    next_offset_ += tensor.num_bytes();
    return tensor;
  }

  Status Add(const std::string& name, const StoredTensor& stored) {
    if (stored.shape.empty() || stored.shape.size() > 2)
      return DataLoss(
          fmt::format("{}: tensor \"{}\" has {} dimensions, expected 1 or 2; the file is of another kind",
                      directory_, QuoteForMessage(stored.name), stored.shape.size()));
    const std::vector<uint64_t> dims(stored.shape.rbegin(), stored.shape.rend());
    const bool is_norm = name.find("norm.") != std::string::npos;
    const float added = is_norm && config_.architecture->is_gemma ? 1.0f : 0.0f;
    const DType dtype = added != 0.0f      ? DType::kF32
                        : dims.size() == 1 ? stored.dtype
                                           : TypeOf(name, dims[0], stored);
    TensorInfo tensor = Info(name, dtype, dims);
    rows_->Add(tensor, stored, added);
    tensors_.push_back(std::move(tensor));
    return OkStatus();
  }

  Status AddToExperts(const ExpertName& name, const StoredTensor& stored) {
    std::vector<const StoredTensor*>& all = experts_[name.gguf_name];
    all.resize(static_cast<size_t>(config_.num_experts));
    if (name.expert >= config_.num_experts)
      return DataLoss(fmt::format("{}: tensor \"{}\": config.json says that there are {} experts", directory_,
                                  QuoteForMessage(stored.name), config_.num_experts));
    if (stored.shape.size() != 2)
      return DataLoss(
          fmt::format("{}: tensor \"{}\" has {} dimensions, expected 2; the file is of another kind",
                      directory_, QuoteForMessage(stored.name), stored.shape.size()));
    all[static_cast<size_t>(name.expert)] = &stored;
    return OkStatus();
  }

  // The tensors alone tell the rest of weir which layers have experts.
  Status CheckExpertLayers() const {
    for (size_t i = 0; i < config_.has_experts.size(); ++i) {
      const std::string router = fmt::format("model.layers.{}.mlp.gate.weight", i);
      const bool has = rows_->checkpoint().Find(router) != nullptr;
      if (has != config_.has_experts[i])
        return DataLoss(fmt::format(
            "{}: tensor \"{}\" is {}, but decoder_sparse_step and mlp_only_layers in config.json say that "
            "layer {} has {}experts; fetch the model again",
            directory_, router, has ? "there" : "missing", i, has ? "no " : ""));
    }
    return OkStatus();
  }

  // What is a tensor for each expert here is one of three dimensions there.
  Status JoinExperts() {
    for (const auto& [name, all] : experts_) {
      for (size_t i = 0; i < all.size(); ++i) {
        if (all[i] == nullptr)
          return DataLoss(
              fmt::format("{}: {} has no tensor of expert {}; fetch the model again", directory_, name, i));
        if (all[i]->shape != all[0]->shape || all[i]->dtype != all[0]->dtype)
          return DataLoss(fmt::format("{}: tensor \"{}\" has another shape or type than \"{}\"", directory_,
                                      QuoteForMessage(all[i]->name), QuoteForMessage(all[0]->name)));
      }
      const std::vector<uint64_t>& shape = all[0]->shape;
      TensorInfo tensor = Info(name, TypeOf(name, shape[1], *all[0]), {shape[1], shape[0], all.size()});
      rows_->Add(tensor, all);
      tensors_.push_back(std::move(tensor));
    }
    return OkStatus();
  }

  // Of a matrix. The router is small and decides much; four bits cost the embedding and the lm-head more than they save.
  DType TypeOf(const std::string& name, uint64_t row_length, const StoredTensor& stored) const {
    if (quantization_ == LoadQuantization::kNone || row_length % 32 != 0 ||
        name.ends_with("ffn_gate_inp.weight"))
      return stored.dtype;
    if (name == "token_embd.weight" || name == "output.weight") return DType::kQ8_0;
    if (quantization_ == LoadQuantization::kQ4_0) return DType::kQ4_0;
    return quantization_ == LoadQuantization::kQ4_K && row_length % 256 == 0 ? DType::kQ4_K : DType::kQ8_0;
  }

  const std::string& directory_;
  const HuggingFaceConfig& config_;
  const LoadQuantization quantization_;
  std::unique_ptr<CheckpointRows> rows_;
  std::map<std::string, std::vector<const StoredTensor*>> experts_;  // by the name of what they become
  std::vector<TensorInfo> tensors_;
  uint64_t next_offset_ = 0;
};

}  // namespace

bool IsModelDirectory(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Result<std::unique_ptr<ModelFile>> OpenModelDirectory(const std::string& directory,
                                                      LoadQuantization quantization,
                                                      const std::string& cache_folder) {
  if (struct stat info{}; stat((directory + "/config.json").c_str(), &info) != 0)
    return NotFound(fmt::format(
        "{} is a directory without config.json; name a GGUF file or a Hugging Face directory", directory));
  MetadataWriter metadata;
  WEIR_ASSIGN_OR_RETURN(const HuggingFaceConfig config, HuggingFaceConfig::Read(directory, &metadata));
  WEIR_RETURN_IF_ERROR(WriteTokenizer(directory, config.vocab_size, &metadata));
  WEIR_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(directory));
  Assembler assembler(directory, config, quantization, std::move(checkpoint));
  WEIR_RETURN_IF_ERROR(assembler.AddTensors());
  const std::string identity = assembler.Identity();
  std::vector<TensorInfo> tensors = std::move(assembler).tensors();
  std::unique_ptr<TensorRows> rows = std::move(assembler).rows();
  if (quantization != LoadQuantization::kNone && !cache_folder.empty())
    rows = CachedRows(cache_folder, identity, directory, tensors, std::move(rows));
  return ModelFile::Assemble(directory, std::move(metadata.bytes()), metadata.num_keys(), std::move(tensors),
                             std::move(rows));
}

Result<std::unique_ptr<ModelFile>> OpenModel(const std::string& path, LoadQuantization quantization,
                                             const std::string& cache_folder) {
  return IsModelDirectory(path) ? OpenModelDirectory(path, quantization, cache_folder)
                                : ModelFile::Open(path);
}

}  // namespace weir
