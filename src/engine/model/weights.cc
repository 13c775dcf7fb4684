#include "engine/model/weights.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/tensor/dequantize.h"

namespace weir {
namespace {

constexpr int64_t kAlignment = 64;

struct PendingMatrix {
  const TensorInfo* tensor;
  PackedMatrix* matrix;
};

class Loader {
 public:
  Loader(const ModelFile& file, const KernelTable& kernels, ThreadPool& pool)
      : file_(file), kernels_(kernels), pool_(pool) {}

  Status LayOut(const std::string& name, PackedMatrix& matrix) {
    const TensorInfo* tensor = file_.FindTensor(name);
    CHECK(tensor != nullptr);  // ReadModelConfig saw it
    WEIR_ASSIGN_OR_RETURN(matrix,
                          LayOutMatrix(kernels_, tensor->dtype, static_cast<int64_t>(tensor->row_length()),
                                       static_cast<int64_t>(tensor->num_rows()), name));
    bytes_ += (matrix.bytes() + kAlignment - 1) / kAlignment * kAlignment;
    pending_.push_back({tensor, &matrix});
    return OkStatus();
  }

  Status LayOutLayer(int layer, LayerWeights& weights) {
    const auto name = [layer](const char* part) { return fmt::format("blk.{}.{}.weight", layer, part); };
    WEIR_ASSIGN_OR_RETURN(weights.attention_norm, ReadVector(name("attn_norm")));
    WEIR_ASSIGN_OR_RETURN(weights.ffn_norm, ReadVector(name("ffn_norm")));
    WEIR_RETURN_IF_ERROR(LayOut(name("attn_q"), weights.q));
    WEIR_RETURN_IF_ERROR(LayOut(name("attn_k"), weights.k));
    WEIR_RETURN_IF_ERROR(LayOut(name("attn_v"), weights.v));
    WEIR_RETURN_IF_ERROR(LayOut(name("attn_output"), weights.o));
    WEIR_RETURN_IF_ERROR(LayOut(name("ffn_gate"), weights.gate));
    WEIR_RETURN_IF_ERROR(LayOut(name("ffn_up"), weights.up));
    return LayOut(name("ffn_down"), weights.down);
  }

  Result<std::vector<float>> ReadVector(const std::string& name) {
    const TensorInfo* tensor = file_.FindTensor(name);
    CHECK(tensor != nullptr);
    std::vector<float> values = DequantizeAll(tensor->dtype, tensor->data, tensor->num_elements());
    for (size_t i = 0; i < values.size(); ++i)
      if (!std::isfinite(values[i]))
        return DataLoss(fmt::format(
            "tensor {}: element {} is not a finite number; the file is damaged, fetch it again", name, i));
    return values;
  }

  Status PackAll(AlignedBuffer& buffer, const std::function<void(double)>& on_progress) {
    WEIR_ASSIGN_OR_RETURN(buffer, AlignedBuffer::Allocate(static_cast<size_t>(bytes_)));
    int64_t offset = 0;
    for (const PendingMatrix& pending : pending_) {
      PackedMatrix& matrix = *pending.matrix;
      matrix.data = buffer.as<unsigned char>(static_cast<size_t>(offset));
      offset += (matrix.bytes() + kAlignment - 1) / kAlignment * kAlignment;
      WEIR_RETURN_IF_ERROR(Pack(*pending.tensor, matrix));
      file_.DropPages(*pending.tensor);
      if (on_progress) on_progress(static_cast<double>(offset) / static_cast<double>(bytes_));
    }
    return OkStatus();
  }

 private:
  Status Pack(const TensorInfo& tensor, const PackedMatrix& matrix) {
    constexpr int kStripsPerUnit = 8;
    const int units = (matrix.num_strips() + kStripsPerUnit - 1) / kStripsPerUnit;
    std::vector<Status> results(static_cast<size_t>(units));
    pool_.Run(units, [&](int unit, int) {
      const int first = unit * kStripsPerUnit;
      const int last = std::min(first + kStripsPerUnit, matrix.num_strips());
      results[static_cast<size_t>(unit)] =
          PackStrips(kernels_, tensor.data, tensor.name, first, last, matrix);
    });
    for (Status& result : results) WEIR_RETURN_IF_ERROR(std::move(result));
    return OkStatus();
  }

  const ModelFile& file_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  std::vector<PendingMatrix> pending_;
  int64_t bytes_ = 0;
};

void AddMatrix(ModelCost& cost, const PackedMatrix& matrix, bool is_lm_head) {
  ModelCost::PerType* entry = nullptr;
  for (auto& type : cost.types)
    if (type.dtype == matrix.dtype) entry = &type;
  if (entry == nullptr) {
    cost.types.push_back({matrix.dtype, 0, 0, 0});
    entry = &cost.types.back();
  }
  const int64_t macs = int64_t{matrix.in} * matrix.out;
  entry->weight_bytes += matrix.bytes();
  entry->macs_per_token += macs;
  if (is_lm_head) entry->lm_head_macs += macs;
  cost.weight_bytes += matrix.bytes();
  cost.macs_per_token += macs;
  cost.parameters += macs;
}

}  // namespace

Result<Weights> Weights::Load(const ModelFile& file, const ModelConfig& config, const KernelTable& kernels,
                              ThreadPool& pool, const std::function<void(double)>& on_progress) {
  Weights weights;
  Loader loader(file, kernels, pool);
  weights.layers.resize(static_cast<size_t>(config.num_layers));
  for (int layer = 0; layer < config.num_layers; ++layer)
    WEIR_RETURN_IF_ERROR(loader.LayOutLayer(layer, weights.layers[static_cast<size_t>(layer)]));
  WEIR_RETURN_IF_ERROR(loader.LayOut("token_embd.weight", weights.embedding));
  if (!config.tied_embeddings) WEIR_RETURN_IF_ERROR(loader.LayOut("output.weight", weights.lm_head));
  WEIR_ASSIGN_OR_RETURN(weights.output_norm, loader.ReadVector("output_norm.weight"));
  if (file.FindTensor("rope_freqs.weight") != nullptr) {
    WEIR_ASSIGN_OR_RETURN(weights.rope_factors, loader.ReadVector("rope_freqs.weight"));
    for (const float factor : weights.rope_factors)
      if (factor == 0.0f)
        return DataLoss("tensor rope_freqs.weight: a factor of 0; the file is damaged, fetch it again");
  }
  WEIR_RETURN_IF_ERROR(loader.PackAll(weights.buffer, on_progress));
  if (config.tied_embeddings) weights.lm_head = weights.embedding;
  weights.lm_head.rms = SampleRms(kernels, weights.lm_head);
  for (LayerWeights& layer : weights.layers) layer.down.rms = SampleRms(kernels, layer.down);
  WEIR_RETURN_IF_ERROR(file.CheckUnchanged());
  return weights;
}

ModelCost CostOf(const Weights& weights, const ModelConfig& config) {
  ModelCost cost;
  for (const LayerWeights& layer : weights.layers) {
    for (const PackedMatrix* matrix :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down})
      AddMatrix(cost, *matrix, false);
    const int64_t norms = static_cast<int64_t>(layer.attention_norm.size() + layer.ffn_norm.size());
    cost.parameters += norms;
    cost.weight_bytes += norms * 4;
  }
  AddMatrix(cost, weights.lm_head, true);
  cost.parameters += static_cast<int64_t>(weights.output_norm.size());
  cost.weight_bytes += static_cast<int64_t>(weights.output_norm.size()) * 4;
  if (!config.tied_embeddings) cost.parameters += int64_t{weights.embedding.in} * weights.embedding.out;
  cost.kv_bytes_per_token = config.kv_shape().bytes_per_token();
  return cost;
}

}  // namespace weir
