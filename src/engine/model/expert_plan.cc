#include "engine/model/expert_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace weir {

ExpertPlan::ExpertPlan(int max_rows, int num_experts, int experts_per_row)
    : num_experts_(num_experts), experts_per_row_(experts_per_row) {
  const size_t pairs = static_cast<size_t>(max_rows) * static_cast<size_t>(experts_per_row);
  chosen_.resize(pairs);
  weights_.resize(pairs);
  pairs_.resize(pairs);
  rows_.resize(pairs);
  share_numbers_.resize(pairs);
  shares_.reserve(static_cast<size_t>(num_experts));
  counts_.resize(static_cast<size_t>(num_experts));
}

void ExpertPlan::Choose(int row, const float* logits, bool normalize) {
  const auto experts = static_cast<size_t>(num_experts_);
  const auto count = static_cast<size_t>(experts_per_row_);
  int* const chosen = chosen_.data() + static_cast<size_t>(row) * count;
  float* const weights = weights_.data() + static_cast<size_t>(row) * count;
  for (size_t k = 0; k < count; ++k) {
    size_t best = experts;
    for (size_t e = 0; e < experts; ++e) {
      if (std::find(chosen, chosen + k, static_cast<int>(e)) != chosen + k) continue;
      if (best == experts || logits[e] > logits[best]) best = e;
    }
    chosen[k] = static_cast<int>(best);
  }
  const double largest = logits[chosen[0]];
  double sum = 0;
  bool finite = true;
  for (size_t e = 0; e < experts; ++e) {
    finite = finite && std::isfinite(logits[e]);
    sum += std::exp(double{logits[e]} - largest);
  }
  double chosen_sum = 0;
  for (size_t k = 0; k < count; ++k) chosen_sum += std::exp(double{logits[chosen[k]]} - largest);
  for (size_t k = 0; k < count; ++k)
    weights[k] = finite ? static_cast<float>(std::exp(double{logits[chosen[k]]} - largest) /
                                             (normalize ? chosen_sum : sum))
                        : std::numeric_limits<float>::quiet_NaN();
}

void ExpertPlan::Group(int num_rows, int num_prompt_rows) {
  const auto count = static_cast<size_t>(experts_per_row_);
  const size_t num_pairs = static_cast<size_t>(num_rows) * count;
  std::fill(counts_.begin(), counts_.end(), 0);
  for (size_t i = 0; i < num_pairs; ++i) ++counts_[static_cast<size_t>(chosen_[i])];
  shares_.clear();
  int first = 0;
  for (int e = 0; e < num_experts_; ++e) {
    int& at = counts_[static_cast<size_t>(e)];
    if (at == 0) continue;
    shares_.push_back({e, first, 0, 0});
    first += at;
    at = static_cast<int>(shares_.size()) - 1;  // from here on the number of its share
  }
  for (int row = 0; row < num_rows; ++row) {
    for (size_t i = static_cast<size_t>(row) * count; i < static_cast<size_t>(row + 1) * count; ++i) {
      const int number = counts_[static_cast<size_t>(chosen_[i])];
      Share& share = shares_[static_cast<size_t>(number)];
      const int pair = share.first_pair + share.num_rows++;
      if (row < num_prompt_rows) ++share.num_prompt_rows;
      pairs_[i] = pair;
      rows_[static_cast<size_t>(pair)] = row;
      share_numbers_[static_cast<size_t>(pair)] = number;
    }
  }
}

}  // namespace weir
