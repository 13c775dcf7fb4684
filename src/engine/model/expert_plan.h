// Which experts compute which rows of a layer, and where each pair of a row and an expert of its lies.
//
// Shapes    logits [num_experts] of one row; pairs are numbered expert by expert, within one by row
// Owns      its vectors, sized once
// Threads   Choose() of different rows on any threads; the rest on one
//
// A row's experts and weights come from its own logits alone, so they are the same in any company.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace weir {

class ExpertPlan {
 public:
  // The rows of one expert: pairs [first_pair, first_pair + num_rows), those of prompts first.
  struct Share {
    int expert = 0;
    int first_pair = 0;
    int num_rows = 0;
    int num_prompt_rows = 0;
  };

  ExpertPlan() = default;
  ExpertPlan(int max_rows, int num_experts, int experts_per_row);

  // Softmax over all logits, the largest of them, the first of equal ones. `normalize`: the chosen weights sum to 1.
  // Logits that are not finite choose something, and weigh it with NaN.
  void Choose(int row, const float* logits, bool normalize);
  // Sorts the choices of rows [0, num_rows).
  void Group(int num_rows, int num_prompt_rows);

  int experts_per_row() const { return experts_per_row_; }
  // Of experts that have rows, ascending.
  std::span<const Share> shares() const { return shares_; }
  int row_of(int pair) const { return rows_[static_cast<size_t>(pair)]; }
  const Share& share_of(int pair) const {
    return shares_[static_cast<size_t>(share_numbers_[static_cast<size_t>(pair)])];
  }
  // In the order of choice, the heaviest first.
  std::span<const int> pairs_of(int row) const { return Part(pairs_, row); }
  std::span<const float> weights_of(int row) const { return Part(weights_, row); }

 private:
  template <typename T>
  std::span<const T> Part(const std::vector<T>& of_rows, int row) const {
    const auto count = static_cast<size_t>(experts_per_row_);
    return std::span<const T>(of_rows).subspan(static_cast<size_t>(row) * count, count);
  }

  int num_experts_ = 0;
  int experts_per_row_ = 0;
  std::vector<int> chosen_;     // [rows, experts per row]
  std::vector<float> weights_;  // the same
  std::vector<int> pairs_;      // the same
  std::vector<int> rows_;       // [pairs]
  std::vector<int> share_numbers_;
  std::vector<Share> shares_;
  std::vector<int> counts_;  // [experts]
};

}  // namespace weir
