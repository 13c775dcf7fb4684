// The decoder of the llama architecture and of those that differ from it by parts that come and go (model_config.h): RMSNorm,
// rotary positions, grouped-query attention, gated feed-forward.
//
// Shapes    as Model
// Requires  weights packed with `kernels`
// Owns      weights, scratch, threads
// Threads   as Model
// Source    docs/KERNELS.md, "A layer in five phases"
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engine/kernels/matmul.h"
#include "engine/kernels/thread_pool.h"
#include "engine/model/attention_plan.h"
#include "engine/model/expert_plan.h"
#include "engine/model/lora_step.h"
#include "engine/model/model.h"
#include "engine/model/rope_table.h"
#include "engine/model/scratch.h"
#include "engine/model/weights.h"

namespace weir {

class LlamaModel final : public Model {
 public:
  static Result<std::unique_ptr<Model>> Load(const ModelFile& file, const ModelConfig& config,
                                             const KernelTable& kernels, const ModelOptions& options);

  void Forward(const Batch& batch, KvStorage& kv, MatrixView<float> logits,
               std::span<RowMaximum> maxima) noexcept override;
  void set_profile(StepProfile* profile) override;

  const ModelConfig& config() const override { return config_; }
  const ModelCost& cost() const override { return cost_; }
  int64_t memory_bytes() const override;
  const WeightFacts& weight_facts() const override { return weights_.facts; }
  std::string isa() const override { return kernels_->name; }
  int num_threads() const override { return pool_->num_threads(); }

 private:
  LlamaModel() = default;

  // Units pass the thread they run on: the profile follows worker 0.
  void Enter(StepSegment segment, int thread = 0) {
    if (profile_ != nullptr && thread == 0) profile_->Enter(segment);
  }
  struct RowRange {
    int first;
    int count;
  };
  enum class Heads { kAll, kQueries, kKeysAndValues };
  // Columns of gate and up that one unit computes: a whole quantization block.
  static constexpr int kFfnUnitColumns = 32;

  // Units that a thread takes at a time. A few rows live on bandwidth, and long streams are read faster; many rows are
  // better shared out finely.
  static int GrainOf(int num_units, int num_rows, int num_threads) {
    return num_rows <= kMaxTileRows ? std::max(1, num_units / (4 * num_threads)) : 1;
  }
  static int StripsPerUnit(int num_strips, int num_threads) {
    return std::max(1, num_strips / (8 * num_threads));
  }
  static int LogitStripsPerUnit(const PackedMatrix& matrix, int num_threads);
  // Shares out units of all row ranges: body(range, unit, thread, the unit that the thread will probably do next, or -1).
  template <typename Body>
  void RunOnRanges(int num_units, const Body& body) {
    const int total = num_units * static_cast<int>(row_ranges_.size());
    pool_->Run(total, GrainOf(total, row_ranges_.back().count, pool_->num_threads()),
               [&](int index, int thread, int next) {
                 body(row_ranges_[static_cast<size_t>(index / num_units)], index % num_units, thread,
                      next < 0 ? -1 : next % num_units);
               });
  }
  // Where a thread will probably begin with a matrix that is divided into units of as many strips.
  NextStrips BeginningOf(const PackedMatrix& matrix, int strips_per_unit, int thread) const {
    const int num_units = (matrix.num_strips() + strips_per_unit - 1) / strips_per_unit;
    const int total = num_units * static_cast<int>(row_ranges_.size());
    const int grain = GrainOf(total, row_ranges_.back().count, pool_->num_threads());
    return {&matrix, pool_->FirstUnit(total, grain, thread) % num_units * strips_per_unit};
  }
  void DivideRows(int num_rows);
  // What a pass needs to know of its rows before the first layer, or before the last once there are fewer.
  void BeginRows(const Batch& batch);
  // Leaves of the residual stream the rows whose logits are wanted, as logit_batch_.
  void KeepLogitRows(const Batch& batch);
  void NormAndProject(const Batch& batch, KvStorage& kv, int layer_index, Heads heads);
  void FinishLayer(const Batch& batch, KvStorage& kv, int layer_index);
  void Embed(const Batch& batch);
  void NormAndQuantize(const int32_t* rows, int num_rows, const float* norm, bool tiles_suffice,
                       std::optional<float> threshold = {});
  // Columns of one head, or of all `heads` when a strip would straddle two of them.
  int HeadUnitColumns(int heads) const;
  void ProjectHeads(const Batch& batch, const LayerWeights& layer, KvStorage& kv, int layer_index,
                    Heads heads);
  // One head of q or k, of these rows.
  struct HeadRows {
    float* x;
    int64_t stride;
    int head;
    RowRange rows;
  };
  // Bias, norm, position (none for rope < 0) and a factor.
  void FinishHeads(const HeadRows& heads, int rope, const std::vector<float>& bias,
                   const std::vector<float>& norm, float factor) const;
  // `keys` and `values` begin with the first of the rows.
  void StoreKeyHead(const Batch& batch, KvStorage& kv, const LayerWeights& layer, int layer_index, int head,
                    RowRange rows, float* keys, int stride);
  void StoreValueHead(const Batch& batch, KvStorage& kv, const LayerWeights& layer, int layer_index, int head,
                      RowRange rows, float* values, int stride);
  void Attend(const Batch& batch, KvStorage& kv, int layer_index, const LayerWeights& layer);
  void FeedForward(const LayerWeights& layer, int layer_index, int num_rows);
  // Strips of a unit of AddProduct().
  int StripsOfSum(const PackedMatrix& matrix) const;
  // What a layer begins with, or behind the last one the lm-head.
  NextStrips BeginningOfLayer(int layer_index, int thread) const;
  // llama_experts.cc: the same where a layer has experts, added to the residual stream.
  void FeedForwardOfExperts(const LayerWeights& layer, int num_rows);
  void RouteRows(const LayerWeights& layer, int num_rows);
  void GatherRows(const LayerWeights& layer, int num_pairs);
  void ExpertColumns(const LayerWeights& layer, const ExpertPlan::Share& share, int unit, int thread_index);
  Activations OfShare(const ExpertPlan::Share& share, unsigned char* tiles, const float* x,
                      int columns) const;
  // Adds to the residual stream, through `norm` unless it is empty.
  void AddProduct(const PackedMatrix& matrix, const Activations& input, const std::vector<float>& norm,
                  int layer_index, LoraTarget target);
  void AddNormed(const std::vector<float>& norm, int num_rows);
  const LayerKind& KindOf(int layer) const { return config_.layers[static_cast<size_t>(layer)]; }
  void ComputeLogits(const Batch& batch, MatrixView<float> logits, std::span<RowMaximum> maxima);

  ModelConfig config_;
  ModelCost cost_;
  const KernelTable* kernels_ = nullptr;
  std::unique_ptr<ThreadPool> pool_;
  Weights weights_;
  std::vector<RopeTable> ropes_;
  bool plain_attention_ = true;  // without windows and caps
  Scratch scratch_;
  int num_prompt_rows_ = 0;  // of the running pass, where prompts have kernels of their own
  std::vector<RowRange> row_ranges_;
  LoraStep lora_;
  AttentionPlan attention_;
  ExpertPlan experts_;                  // of the running layer
  Batch logit_batch_;                   // of the running pass, in its last layer
  const BlockId* block_ids_ = nullptr;  // of the running pass
  StepProfile* profile_ = nullptr;
};

}  // namespace weir
