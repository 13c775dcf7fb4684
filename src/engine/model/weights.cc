#include "engine/model/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "base/clock.h"
#include "engine/model/outlier_threshold.h"
#include "engine/tensor/dequantize.h"

namespace weir {
namespace {

constexpr int64_t kAlignment = 64;
// Bytes of the file that one unit of loading packs: about a huge page, so that threads seldom meet in one that is new.
constexpr int64_t kUnitBytes = int64_t{2} << 20;
// Units that the kernel is asked to read meanwhile: a disk wants some megabytes of requests.
constexpr int kUnitsAhead = 8;

// Rows of a matrix whose root mean square is wanted: as many as tell it to a few percent.
constexpr int32_t kSampledRows = 32;

struct PendingMatrix {
  const TensorInfo* tensor;
  PackedMatrix* matrix;
  uint64_t first_row;                    // of the tensor
  std::vector<double> row_squares = {};  // of the sampled rows, filled while they are in the cache anyway

  int32_t SampledRow(size_t i) const {
    return static_cast<int32_t>(static_cast<int64_t>(i) * matrix->out /
                                static_cast<int64_t>(row_squares.size()));
  }
};

class Loader {
 public:
  Loader(const ModelFile& file, const KernelTable& kernels, ThreadPool& pool)
      : file_(file), kernels_(kernels), pool_(pool) {}

  Status LayOut(const std::string& name, PackedMatrix& matrix) {
    return LayOut(name, 0, Find(name).num_rows(), matrix);
  }

  // As LayOut(), and PackAll() will also find the root mean square of its weights, from rows spread over the matrix.
  Status LayOutSampled(const std::string& name, PackedMatrix& matrix) {
    return LayOutSampled(name, 0, Find(name).num_rows(), matrix);
  }
  Status LayOutSampled(const std::string& name, uint64_t first, uint64_t count, PackedMatrix& matrix) {
    WEIR_RETURN_IF_ERROR(LayOut(name, first, count, matrix));
    pending_.back().row_squares.resize(static_cast<size_t>(std::min(kSampledRows, matrix.out)));
    return OkStatus();
  }

  // Rows [first, first + count) of a tensor that holds several matrices.
  Status LayOut(const std::string& name, uint64_t first, uint64_t count, PackedMatrix& matrix) {
    const TensorInfo& tensor = Find(name);
    WEIR_ASSIGN_OR_RETURN(matrix,
                          LayOutMatrix(kernels_, tensor.dtype, static_cast<int64_t>(tensor.row_length()),
                                       static_cast<int64_t>(count), name));
    if (!tensor.data.empty()) matrix.file_rows = tensor.data.data() + first * tensor.row_bytes();
    bytes_ += (matrix.bytes() + kAlignment - 1) / kAlignment * kAlignment;
    pending_.push_back({&tensor, &matrix, first});
    return OkStatus();
  }

  Status LayOutLayer(const ModelConfig& config, int layer, LayerWeights& weights) {
    const auto name = [layer](const char* part) { return fmt::format("blk.{}.{}", layer, part); };
    WEIR_ASSIGN_OR_RETURN(weights.attention_norm, ReadVector(name("attn_norm.weight")));
    WEIR_ASSIGN_OR_RETURN(weights.ffn_norm, ReadVector(name("ffn_norm.weight")));
    weights.attention_largest = LargestOfNormed(weights.attention_norm);
    weights.ffn_largest = LargestOfNormed(weights.ffn_norm);
    WEIR_RETURN_IF_ERROR(ReadVectors(config, layer, weights));
    if (config.fused_qkv) {
      const auto q = static_cast<uint64_t>(config.num_heads) * static_cast<uint64_t>(config.head_dim);
      const auto kv = static_cast<uint64_t>(config.num_kv_heads) * static_cast<uint64_t>(config.head_dim);
      const auto ffn = static_cast<uint64_t>(config.ffn_size);
      WEIR_RETURN_IF_ERROR(LayOut(name("attn_qkv.weight"), 0, q, weights.q));
      WEIR_RETURN_IF_ERROR(LayOut(name("attn_qkv.weight"), q, kv, weights.k));
      WEIR_RETURN_IF_ERROR(LayOut(name("attn_qkv.weight"), q + kv, kv, weights.v));
      WEIR_RETURN_IF_ERROR(LayOut(name("attn_output.weight"), weights.o));
      WEIR_RETURN_IF_ERROR(LayOut(name("ffn_up.weight"), 0, ffn, weights.gate));
      WEIR_RETURN_IF_ERROR(LayOut(name("ffn_up.weight"), ffn, ffn, weights.up));
      return LayOutSampled(name("ffn_down.weight"), weights.down);
    } else {
      WEIR_RETURN_IF_ERROR(LayOut(name("attn_q.weight"), weights.q));
      WEIR_RETURN_IF_ERROR(LayOut(name("attn_k.weight"), weights.k));
      WEIR_RETURN_IF_ERROR(LayOut(name("attn_v.weight"), weights.v));
      WEIR_RETURN_IF_ERROR(LayOut(name("attn_output.weight"), weights.o));
    }
    if (config.layers[static_cast<size_t>(layer)].experts) return LayOutExperts(config, layer, weights);
    WEIR_RETURN_IF_ERROR(LayOut(name("ffn_gate.weight"), weights.gate));
    WEIR_RETURN_IF_ERROR(LayOut(name("ffn_up.weight"), weights.up));
    return LayOutSampled(name("ffn_down.weight"), weights.down);
  }

  // One tensor holds the same matrix of all experts.
  Status LayOutExperts(const ModelConfig& config, int layer, LayerWeights& weights) {
    const auto name = [layer](const char* part) { return fmt::format("blk.{}.{}", layer, part); };
    const auto hidden = static_cast<uint64_t>(config.hidden_size);
    const auto ffn = static_cast<uint64_t>(config.expert_ffn_size);
    WEIR_RETURN_IF_ERROR(LayOut(name("ffn_gate_inp.weight"), weights.router));
    weights.experts.resize(static_cast<size_t>(config.num_experts));
    for (size_t i = 0; i < weights.experts.size(); ++i) {
      ExpertWeights& expert = weights.experts[i];
      WEIR_RETURN_IF_ERROR(LayOut(name("ffn_gate_exps.weight"), i * ffn, ffn, expert.gate));
      WEIR_RETURN_IF_ERROR(LayOut(name("ffn_up_exps.weight"), i * ffn, ffn, expert.up));
      WEIR_RETURN_IF_ERROR(LayOutSampled(name("ffn_down_exps.weight"), i * hidden, hidden, expert.down));
    }
    return OkStatus();
  }

  // What some architectures have beside llama's.
  Status ReadVectors(const ModelConfig& config, int layer, LayerWeights& weights) {
    const auto read = [&](bool wanted, const char* part, std::vector<float>* into) {
      if (!wanted) return OkStatus();
      WEIR_ASSIGN_OR_RETURN(*into, ReadVector(fmt::format("blk.{}.{}", layer, part)));
      return OkStatus();
    };
    WEIR_RETURN_IF_ERROR(read(config.attention_biases, "attn_q.bias", &weights.q_bias));
    WEIR_RETURN_IF_ERROR(read(config.attention_biases, "attn_k.bias", &weights.k_bias));
    WEIR_RETURN_IF_ERROR(read(config.attention_biases, "attn_v.bias", &weights.v_bias));
    WEIR_RETURN_IF_ERROR(read(config.head_norms, "attn_q_norm.weight", &weights.q_norm));
    WEIR_RETURN_IF_ERROR(read(config.head_norms, "attn_k_norm.weight", &weights.k_norm));
    WEIR_RETURN_IF_ERROR(read(config.post_norms, "post_attention_norm.weight", &weights.post_attention_norm));
    return read(config.post_norms, "post_ffw_norm.weight", &weights.post_ffn_norm);
  }

  Result<std::vector<float>> ReadVector(const std::string& name) {
    const TensorInfo& tensor = Find(name);
    std::vector<std::byte> buffer;
    std::vector<float> values =
        DequantizeAll(tensor.dtype, file_.Rows(tensor, 0, tensor.num_rows(), &buffer), tensor.num_elements());
    for (size_t i = 0; i < values.size(); ++i)
      if (!std::isfinite(values[i]))
        return DataLoss(fmt::format(
            "tensor {}: element {} is not a finite number; the file is damaged, fetch it again", name, i));
    return values;
  }

  int64_t mapped_bytes() const {
    int64_t bytes = 0;
    for (const PendingMatrix& pending : pending_)
      bytes += static_cast<int64_t>(pending.tensor->row_bytes()) * pending.matrix->out;
    return bytes;
  }

  // One buffer for everything, which the kernel is asked to make of huge pages.
  Result<AlignedBuffer> Allocate() {
    WEIR_ASSIGN_OR_RETURN(AlignedBuffer buffer, AlignedBuffer::Allocate(static_cast<size_t>(bytes_)));
    int64_t offset = 0;
    for (const PendingMatrix& pending : pending_) {
      pending.matrix->data = buffer.as<unsigned char>(static_cast<size_t>(offset));
      offset += (pending.matrix->bytes() + kAlignment - 1) / kAlignment * kAlignment;
    }
    return buffer;
  }

  // Without Allocate() before it, it only looks whether every strip can be packed.
  Status PackAll(const std::function<void(double)>& on_progress) {
    const std::vector<Unit> units = PlanUnits();
    const int num_units = static_cast<int>(units.size());
    std::vector<ThreadBuffers> buffers(static_cast<size_t>(pool_.num_threads()));
    for (int i = 0; i < std::min(kUnitsAhead, num_units); ++i) ReadAhead(units[static_cast<size_t>(i)]);
    // The first damage in the file's order is the one reported, whichever thread comes first.
    std::vector<Status> results(units.size());
    std::atomic<int> first_bad{num_units};
    // Counted here, because the pool's threads take units from both ends.
    std::atomic<int> next{0};
    const auto pack = [&](int i, int thread) {
      if (i + kUnitsAhead < num_units) ReadAhead(units[static_cast<size_t>(i + kUnitsAhead)]);
      const Unit& unit = units[static_cast<size_t>(i)];
      Status& result = results[static_cast<size_t>(i)];
      result = Pack(unit, &buffers[static_cast<size_t>(thread)]);
      if (!result.ok()) {
        int bad = first_bad.load();
        while (i < bad && !first_bad.compare_exchange_weak(bad, i)) {
        }
      }
      if (thread == 0 && on_progress) on_progress(static_cast<double>(i + 1) / num_units);
    };
    pool_.Run(pool_.num_threads(), [&](int, int thread) {
      for (int i = next.fetch_add(1); i < num_units && i < first_bad.load(std::memory_order_relaxed);
           i = next.fetch_add(1))
        pack(i, thread);
    });
    for (Status& result : results) WEIR_RETURN_IF_ERROR(std::move(result));
    for (const PendingMatrix& pending : pending_) {
      if (pending.row_squares.empty()) continue;
      const double sum = std::accumulate(pending.row_squares.begin(), pending.row_squares.end(), 0.0);
      const double count = static_cast<double>(pending.row_squares.size()) * pending.matrix->in;
      pending.matrix->rms = static_cast<float>(std::sqrt(sum / count));
    }
    return OkStatus();
  }

 private:
  const TensorInfo& Find(const std::string& name) const {
    const TensorInfo* tensor = file_.FindTensor(name);
    CHECK(tensor != nullptr);  // ReadModelConfig saw it
    return *tensor;
  }

  // Strips that one thread packs at a time.
  struct Unit {
    PendingMatrix* pending;
    int32_t first_strip;
    int32_t last_strip;
  };

  // In the order of the file, so that it is read from front to back.
  std::vector<Unit> PlanUnits() {
    std::vector<PendingMatrix*> order;
    for (PendingMatrix& pending : pending_) order.push_back(&pending);
    std::sort(order.begin(), order.end(), [](const PendingMatrix* a, const PendingMatrix* b) {
      return std::pair(a->tensor->offset, a->first_row) < std::pair(b->tensor->offset, b->first_row);
    });
    std::vector<Unit> units;
    for (PendingMatrix* pending : order) {
      const PackedMatrix& matrix = *pending->matrix;
      const auto row_bytes = static_cast<int64_t>(pending->tensor->row_bytes());
      const auto strips =
          static_cast<int32_t>(std::clamp<int64_t>(kUnitBytes / (row_bytes * matrix.strip_rows), 1, 1 << 20));
      for (int32_t first = 0; first < matrix.num_strips(); first += strips)
        units.push_back({pending, first, std::min(first + strips, matrix.num_strips())});
    }
    return units;
  }

  struct ThreadBuffers {
    std::vector<std::byte> rows;       // of synthetic weights, sometimes
    std::vector<unsigned char> strip;  // of matrices that stay in the file
    std::vector<float> floats;         // of a sampled row
  };
  struct RowRange {
    uint64_t first;
    uint64_t last;
  };

  static RowRange RowsOf(const Unit& unit) {
    const PackedMatrix& matrix = *unit.pending->matrix;
    const auto strip_rows = static_cast<uint64_t>(matrix.strip_rows);
    const uint64_t before = unit.pending->first_row;
    return {before + static_cast<uint64_t>(unit.first_strip) * strip_rows,
            before + std::min(static_cast<uint64_t>(unit.last_strip) * strip_rows,
                              static_cast<uint64_t>(matrix.out))};
  }

  void ReadAhead(const Unit& unit) const {
    const RowRange range = RowsOf(unit);
    file_.ReadAhead(*unit.pending->tensor, range.first, range.last);
  }

  // The sampled rows among those of the unit.
  static void Sample(const Unit& unit, std::span<const std::byte> rows, std::vector<float>* floats) {
    PendingMatrix& pending = *unit.pending;
    const int64_t first = int64_t{unit.first_strip} * pending.matrix->strip_rows;
    const int64_t last = int64_t{unit.last_strip} * pending.matrix->strip_rows;
    const size_t row_bytes = pending.tensor->row_bytes();
    for (size_t i = 0; i < pending.row_squares.size(); ++i) {
      const int64_t row = pending.SampledRow(i);
      if (row < first || row >= last) continue;
      floats->resize(static_cast<size_t>(pending.matrix->in));
      Dequantize(pending.tensor->dtype, rows.subspan(static_cast<size_t>(row - first) * row_bytes, row_bytes),
                 *floats);
      double sum = 0;
      for (const float w : *floats) sum += double{w} * double{w};
      pending.row_squares[i] = sum;
    }
  }

  Status Pack(const Unit& unit, ThreadBuffers* buffers) const {
    const PackedMatrix& matrix = *unit.pending->matrix;
    const TensorInfo& tensor = *unit.pending->tensor;
    const RowRange range = RowsOf(unit);
    const std::span<const std::byte> rows = file_.Rows(tensor, range.first, range.last, &buffers->rows);
    Sample(unit, rows, &buffers->floats);
    if (matrix.data != nullptr) {
      WEIR_RETURN_IF_ERROR(
          PackStrips(kernels_, rows, tensor.name, unit.first_strip, unit.last_strip, matrix));
      file_.DropPages(tensor, range.first, range.last);
      return OkStatus();
    }
    buffers->strip.resize(static_cast<size_t>(matrix.strip_bytes));
    const size_t strip_bytes = tensor.row_bytes() * static_cast<size_t>(matrix.strip_rows);
    for (int32_t strip = unit.first_strip; strip < unit.last_strip; ++strip)
      WEIR_RETURN_IF_ERROR(
          PackStrip(kernels_, rows.subspan(static_cast<size_t>(strip - unit.first_strip) * strip_bytes),
                    tensor.name, strip, matrix, buffers->strip.data()));
    return OkStatus();
  }

  const ModelFile& file_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  std::vector<PendingMatrix> pending_;
  int64_t bytes_ = 0;
};

// `share`: of the tokens that read it.
void AddMatrix(ModelCost& cost, const PackedMatrix& matrix, bool for_logit_rows, double share = 1) {
  ModelCost::PerType* entry = nullptr;
  for (auto& type : cost.types)
    if (type.dtype == matrix.dtype) entry = &type;
  if (entry == nullptr) {
    cost.types.push_back({matrix.dtype, 0, 0, 0});
    entry = &cost.types.back();
  }
  const int64_t parameters = int64_t{matrix.in} * matrix.out;
  const auto macs = static_cast<int64_t>(static_cast<double>(parameters) * share);
  const auto bytes = static_cast<int64_t>(static_cast<double>(matrix.bytes()) * share);
  entry->weight_bytes += bytes;
  entry->macs_per_token += macs;
  if (for_logit_rows) entry->logit_row_macs += macs;
  cost.weight_bytes += bytes;
  cost.stored_bytes += matrix.bytes();
  cost.macs_per_token += macs;
  cost.parameters += parameters;
}

}  // namespace

Result<Weights> Weights::Load(const ModelFile& file, const ModelConfig& config, const KernelTable& kernels,
                              ThreadPool& pool, WeightStorage storage,
                              const std::function<void(double)>& on_progress) {
  const TimePoint started = MonotonicClock::Get().Now();
  if (storage == WeightStorage::kMmap && !file.in_file())
    return InvalidArgument(
               fmt::format("{} lies in no file that could be mapped; leave out --weights mmap", file.path()))
        .WithParam("--weights");
  Weights weights;
  Loader loader(file, kernels, pool);
  weights.layers.resize(static_cast<size_t>(config.num_layers));
  for (int layer = 0; layer < config.num_layers; ++layer)
    WEIR_RETURN_IF_ERROR(loader.LayOutLayer(config, layer, weights.layers[static_cast<size_t>(layer)]));
  if (config.tied_embeddings) {
    WEIR_RETURN_IF_ERROR(loader.LayOutSampled("token_embd.weight", weights.embedding));
  } else {
    WEIR_RETURN_IF_ERROR(loader.LayOut("token_embd.weight", weights.embedding));
    WEIR_RETURN_IF_ERROR(loader.LayOutSampled("output.weight", weights.lm_head));
  }
  WEIR_ASSIGN_OR_RETURN(weights.output_norm, loader.ReadVector("output_norm.weight"));
  if (file.FindTensor(config.rope_divisors) != nullptr) {
    WEIR_ASSIGN_OR_RETURN(weights.rope_divisors, loader.ReadVector(config.rope_divisors));
    for (const float divisor : weights.rope_divisors)
      if (divisor == 0.0f)
        return DataLoss(fmt::format("tensor {}: a factor of 0; the file is damaged, fetch it again",
                                    config.rope_divisors));
  }
  if (storage == WeightStorage::kRepack) {
    WEIR_ASSIGN_OR_RETURN(weights.buffer, loader.Allocate());
  }
  WEIR_RETURN_IF_ERROR(loader.PackAll(on_progress));
  if (config.tied_embeddings) weights.lm_head = weights.embedding;
  WEIR_RETURN_IF_ERROR(file.CheckUnchanged());
  weights.facts = {storage, static_cast<int64_t>(weights.buffer.size()),
                   static_cast<int64_t>(weights.buffer.HugeBytes()),
                   storage == WeightStorage::kMmap ? loader.mapped_bytes() : 0,
                   ToSeconds(MonotonicClock::Get().Now() - started)};
  return weights;
}

int64_t Weights::largest_strip_bytes() const {
  int64_t largest = std::max(embedding.strip_bytes, lm_head.strip_bytes);
  for (const LayerWeights& layer : layers)
    layer.ForEachMatrix(
        [&](const PackedMatrix& matrix, bool) { largest = std::max(largest, matrix.strip_bytes); });
  return largest;
}

ModelCost CostOf(const Weights& weights, const ModelConfig& config) {
  ModelCost cost;
  for (const LayerWeights& layer : weights.layers) {
    const double share =
        layer.experts.empty() ? 1.0 : config.experts_per_row / static_cast<double>(layer.experts.size());
    layer.ForEachMatrix([&](const PackedMatrix& matrix, bool is_expert) {
      const bool for_logit_rows =
          &layer == &weights.layers.back() && &matrix != &layer.k && &matrix != &layer.v;
      AddMatrix(cost, matrix, for_logit_rows, is_expert ? share : 1.0);
    });
    for (const std::vector<float>* vector :
         {&layer.attention_norm, &layer.ffn_norm, &layer.q_bias, &layer.k_bias, &layer.v_bias, &layer.q_norm,
          &layer.k_norm, &layer.post_attention_norm, &layer.post_ffn_norm}) {
      cost.parameters += static_cast<int64_t>(vector->size());
      cost.weight_bytes += static_cast<int64_t>(vector->size()) * 4;
      cost.stored_bytes += static_cast<int64_t>(vector->size()) * 4;
    }
  }
  AddMatrix(cost, weights.lm_head, true);
  cost.parameters += static_cast<int64_t>(weights.output_norm.size());
  cost.weight_bytes += static_cast<int64_t>(weights.output_norm.size()) * 4;
  cost.stored_bytes += static_cast<int64_t>(weights.output_norm.size()) * 4;
  if (!config.tied_embeddings) cost.parameters += int64_t{weights.embedding.in} * weights.embedding.out;
  cost.kv_bytes_per_token = config.kv_shape().bytes_per_token();
  return cost;
}

}  // namespace weir
