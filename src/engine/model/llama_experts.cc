// The feed-forward half of a layer with experts: every row goes through a few of them, chosen by a router.
//
// The rows of an expert are gathered and multiplied together, which changes nothing about a row's bits: a product does not
// depend on the rows beside it, and a row's results are added in the order of its own choice.
#include <algorithm>

#include "engine/model/llama.h"
#include "engine/model/outlier_threshold.h"

namespace weir {

// A share's part of what has a row per pair. Its tiles begin where those before it end at the latest.
Activations LlamaModel::OfShare(const ExpertPlan::Share& share, unsigned char* tiles, const float* x,
                                int columns) const {
  return {tiles + ExpertTileBytes(*kernels_, share.first_pair, &share - experts_.shares().data(), columns),
          x + int64_t{share.first_pair} * columns, share.num_rows, columns, share.num_prompt_rows};
}

void LlamaModel::RouteRows(const LayerWeights& layer, int num_rows) {
  const PackedMatrix& router = layer.router;
  const Activations input{scratch_.normed_tiles, scratch_.normed, num_rows, config_.hidden_size,
                          num_prompt_rows_};
  Enter(StepSegment::kMatmulFfn);
  RunOnRanges(router.num_strips(), [&](RowRange range, int strip, int thread, int) {
    MultiplyStrips(*kernels_, router, RowsOf(*kernels_, input, range.first, range.count), strip, strip + 1,
                   scratch_.router_logits + int64_t{range.first} * config_.num_experts +
                       int64_t{strip} * router.strip_rows,
                   config_.num_experts, false, scratch_.threads[static_cast<size_t>(thread)].strip);
  });
  const auto choose = [&](int row, int) {
    experts_.Choose(row, scratch_.router_logits + int64_t{row} * config_.num_experts,
                    config_.normalize_experts);
  };
  constexpr int kRowsWorthSharing = 8;
  if (num_rows >= kRowsWorthSharing)
    pool_->Run(num_rows, std::max(1, num_rows / (8 * pool_->num_threads())), choose);
  else
    for (int row = 0; row < num_rows; ++row) choose(row, 0);
  experts_.Group(num_rows, num_prompt_rows_);
}

void LlamaModel::GatherRows(const LayerWeights& layer, int num_pairs) {
  const int n = config_.hidden_size;
  const bool quantized = layer.experts.front().gate.quantized() || layer.experts.front().up.quantized();
  const bool floats = !layer.experts.front().gate.quantized() || !layer.experts.front().up.quantized();
  Enter(StepSegment::kNormQuantize);
  pool_->Run(num_pairs, std::max(1, num_pairs / (8 * pool_->num_threads())), [&](int pair, int) {
    const ExpertPlan::Share& share = experts_.share_of(pair);
    const float* from = scratch_.normed + int64_t{experts_.row_of(pair)} * n;
    if (floats) std::copy_n(from, n, scratch_.pairs + int64_t{pair} * n);
    if (quantized)
      QuantizeRows(*kernels_, from, n, pair - share.first_pair, 1, 0, n,
                   OfShare(share, scratch_.pair_tiles, scratch_.pairs, n));
  });
}

void LlamaModel::ExpertColumns(const LayerWeights& layer, const ExpertPlan::Share& share, int unit,
                               int thread_index) {
  const ExpertWeights& expert = layer.experts[static_cast<size_t>(share.expert)];
  const ThreadScratch& thread = scratch_.threads[static_cast<size_t>(thread_index)];
  const int ffn = config_.expert_ffn_size;
  const Activations input = OfShare(share, scratch_.pair_tiles, scratch_.pairs, config_.hidden_size);
  const Activations into = OfShare(share, scratch_.ffn_tiles, scratch_.ffn, ffn);
  float* const gate = thread.columns;
  float* const up = gate + int64_t{share.num_rows} * kFfnUnitColumns;
  const int strips = kFfnUnitColumns / expert.gate.strip_rows;
  const int first = unit * strips;
  const int last = std::min(first + strips, expert.gate.num_strips());
  Enter(StepSegment::kMatmulFfn, thread_index);
  MultiplyStrips(*kernels_, expert.gate, input, first, last, gate, kFfnUnitColumns, false, thread.strip);
  MultiplyStrips(*kernels_, expert.up, input, first, last, up, kFfnUnitColumns, false, thread.strip);
  Enter(StepSegment::kNormQuantize, thread_index);
  const int first_column = unit * kFfnUnitColumns;
  const int columns = std::min(kFfnUnitColumns, ffn - first_column);
  const bool quantized = expert.down.quantized();
  const float largest = LargestFor(expert.down, kStreamError);
  for (int i = 0; i < share.num_rows; i += kMaxTileRows) {
    const int count = std::min(share.num_rows - i, int{kMaxTileRows});
    float* const gate_rows = gate + int64_t{i} * kFfnUnitColumns;
    float* const floats = scratch_.ffn + int64_t{share.first_pair + i} * ffn + first_column;
    float thresholds[kMaxTileRows];
    for (int j = 0; j < count; ++j) {
      float* const gate_row = gate_rows + int64_t{j} * kFfnUnitColumns;
      kernels_->silu_multiply(gate_row, up + int64_t{i + j} * kFfnUnitColumns, columns,
                              quantized ? gate_row : floats + int64_t{j} * ffn);
      const int row = experts_.row_of(share.first_pair + i + j);
      thresholds[j] = largest * scratch_.row_rms[static_cast<size_t>(row)];
    }
    if (quantized)
      QuantizeRows(*kernels_, gate_rows, kFfnUnitColumns, i, count, first_column, columns, into, thresholds);
  }
}

void LlamaModel::FeedForwardOfExperts(const LayerWeights& layer, int num_rows) {
  RouteRows(layer, num_rows);
  const int num_pairs = num_rows * experts_.experts_per_row();
  GatherRows(layer, num_pairs);
  const int hidden = config_.hidden_size;
  const int num_shares = static_cast<int>(experts_.shares().size());
  const int units = (config_.expert_ffn_size + kFfnUnitColumns - 1) / kFfnUnitColumns;
  const auto share_at = [&](int number) -> const ExpertPlan::Share& {
    return experts_.shares()[static_cast<size_t>(number)];
  };
  Enter(StepSegment::kMatmulFfn);
  pool_->Run(num_shares * units, std::max(1, units / 4), [&](int index, int thread) {
    ExpertColumns(layer, share_at(index / units), index % units, thread);
  });
  Enter(StepSegment::kMatmulFfn);
  const int strips = layer.experts.front().down.num_strips();
  const int per_unit = std::max(1, strips / 16);
  const int down_units = (strips + per_unit - 1) / per_unit;
  pool_->Run(num_shares * down_units, std::max(1, down_units / 4), [&](int index, int thread) {
    const ExpertPlan::Share& share = share_at(index / down_units);
    const PackedMatrix& down = layer.experts[static_cast<size_t>(share.expert)].down;
    const int first = index % down_units * per_unit;
    MultiplyStrips(*kernels_, down, OfShare(share, scratch_.ffn_tiles, scratch_.ffn, config_.expert_ffn_size),
                   first, std::min(first + per_unit, strips),
                   scratch_.pairs + int64_t{share.first_pair} * hidden + int64_t{first} * down.strip_rows,
                   hidden, false, scratch_.threads[static_cast<size_t>(thread)].strip);
  });
  const auto add = [&](int row, int) {
    for (size_t k = 0; k < experts_.pairs_of(row).size(); ++k) {
      float* result = scratch_.pairs + int64_t{experts_.pairs_of(row)[k]} * hidden;
      kernels_->scale(result, hidden, experts_.weights_of(row)[k]);
      kernels_->add(result, hidden, scratch_.hidden + int64_t{row} * hidden);
    }
  };
  pool_->Run(num_rows, std::max(1, num_rows / (8 * pool_->num_threads())), add);
}

}  // namespace weir
