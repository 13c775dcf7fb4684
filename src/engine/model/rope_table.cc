#include "engine/model/rope_table.h"

#include <algorithm>
#include <cmath>

namespace weir {
namespace {

// 16 MB for heads of 64: what contexts of today's small models need.
constexpr int kMaxTablePositions = 32768;

}  // namespace

Result<RopeTable> RopeTable::Create(int dims, const RopeSpec& spec, RopePairs pairs,
                                    std::span<const float> divisors, int max_positions) {
  RopeTable table;
  table.dims_ = dims;
  table.num_positions_ = std::min(max_positions, kMaxTablePositions);
  table.pairs_ = pairs;
  table.factor_ = spec.attention_factor;
  table.frequencies_ = RopeFrequencies(spec, dims, divisors);
  const size_t row_bytes = static_cast<size_t>(table.row_floats()) * sizeof(float);
  WEIR_ASSIGN_OR_RETURN(table.rows_, AlignedBuffer::Allocate(std::max<size_t>(
                                         64, row_bytes * static_cast<size_t>(table.num_positions_))));
  for (int position = 0; position < table.num_positions_; ++position)
    table.Fill(position, table.rows_.as<float>() + int64_t{position} * table.row_floats());
  return table;
}

void RopeTable::Fill(int position, float* row) const {
  for (int i = 0; i < dims_ / 2; ++i) {
    const double angle = position * frequencies_[static_cast<size_t>(i)];
    const float cosine = static_cast<float>(factor_ * std::cos(angle));
    const float sine = static_cast<float>(factor_ * std::sin(angle));
    if (pairs_ == RopePairs::kHalves) {
      row[i] = cosine;
      row[dims_ + i] = sine;
      continue;
    }
    row[2 * i] = cosine;
    row[2 * i + 1] = cosine;
    row[dims_ + 2 * i] = -sine;
    row[dims_ + 2 * i + 1] = sine;
  }
}

const float* RopeTable::Row(int position, float* fallback) const {
  if (position < num_positions_) return rows_.as<float>() + int64_t{position} * row_floats();
  Fill(position, fallback);
  return fallback;
}

}  // namespace weir
