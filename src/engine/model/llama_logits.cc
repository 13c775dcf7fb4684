// The lm-head, for the rows that want logits, and the best token of each.
#include <algorithm>
#include <cmath>

#include "engine/model/llama.h"
#include "engine/model/outlier_threshold.h"

namespace weir {
namespace {

// The first of the largest values, found from the largest of every `piece` of the row.
RowMaximum BestOf(const float* row, int count, const float* of_pieces, int piece) {
  RowMaximum result;
  int best = 0;
  for (int i = 0; i * piece < count; ++i) {
    if (std::isnan(of_pieces[i])) return result;
    if (of_pieces[i] > of_pieces[best]) best = i;
  }
  result.best.logit = of_pieces[best];
  result.sound = std::isfinite(result.best.logit);
  const float* first = row + int64_t{best} * piece;
  const float* last = row + std::min(count, (best + 1) * piece);
  result.best.token = static_cast<int32_t>(std::find(first, last, result.best.logit) - row);
  return result;
}

}  // namespace

int LlamaModel::LogitStripsPerUnit(const PackedMatrix& matrix, int num_threads) {
  return std::min(16, StripsPerUnit(matrix.num_strips(), num_threads));
}

void LlamaModel::ComputeLogits(const Batch& batch, MatrixView<float> logits, std::span<RowMaximum> maxima) {
  const int num_rows = static_cast<int>(batch.logit_rows.size());
  if (num_rows == 0) return;
  DCHECK(logits.rows >= num_rows && logits.columns == config_.vocab_size);
  const PackedMatrix& matrix = weights_.lm_head;
  NormAndQuantize(batch.logit_rows.data(), num_rows, weights_.output_norm.data(), matrix.quantized(),
                  LargestFor(matrix, kLogitError));
  const Activations input{scratch_.normed_tiles, scratch_.normed, num_rows, config_.hidden_size};
  Enter(StepSegment::kLmHead);
  const int per_unit = LogitStripsPerUnit(matrix, pool_->num_threads());
  const int units = (matrix.num_strips() + per_unit - 1) / per_unit;
  const int unit_columns = per_unit * matrix.strip_rows;
  DCHECK(maxima.empty() || maxima.size() == static_cast<size_t>(num_rows));
  float* const maxima_of_units = scratch_.logit_maxima.data();
  pool_->Run(units, GrainOf(units, num_rows, pool_->num_threads()), [&](int unit, int thread) {
    const int first = unit * per_unit;
    float* columns = logits.data + int64_t{first} * matrix.strip_rows;
    MultiplyStrips(*kernels_, matrix, input, first, std::min(first + per_unit, matrix.num_strips()), columns,
                   logits.stride, false, scratch_.threads[static_cast<size_t>(thread)].strip);
    const int count = std::min(unit_columns, config_.vocab_size - unit * unit_columns);
    if (config_.logit_soft_cap > 0)
      for (int row = 0; row < num_rows; ++row)
        kernels_->soft_cap(columns + row * logits.stride, count, config_.logit_soft_cap);
    if (maxima.empty()) return;
    for (int row = 0; row < num_rows; ++row)
      maxima_of_units[int64_t{row} * units + unit] = kernels_->maximum(columns + row * logits.stride, count);
  });
  for (size_t row = 0; row < maxima.size(); ++row)
    maxima[row] = BestOf(logits.row(static_cast<int64_t>(row)), config_.vocab_size,
                         maxima_of_units + static_cast<int64_t>(row) * units, unit_columns);
}

}  // namespace weir
