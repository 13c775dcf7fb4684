// Which neighbouring tokens merge into which, and how early: the heart of byte pair encoding.
//
// Units     a rank is the merge's line number; lower merges first, and among equals the leftmost
// Errors    none
// Threads   immutable after the last Add(); any thread
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "engine/tokenizer/flat_map.h"

namespace weir {

class MergeTable {
 public:
  struct Merge {
    int32_t rank;
    int32_t result;
  };

  void Reserve(size_t merges) { merges_.Reserve(merges); }
  // A pair named twice keeps its last rank, as the reference does.
  void Add(int32_t left, int32_t right, Merge merge) {
    merges_.Put(Key(left, right), merge);
    const auto needed = static_cast<size_t>(std::max(left, right)) + 1;
    if (earliest_use_.size() < needed) earliest_use_.resize(needed, kNoRank);
    for (const int32_t part : {left, right}) {
      int32_t& earliest = earliest_use_[static_cast<size_t>(part)];
      earliest = std::min(earliest, merge.rank);
    }
  }
  // Null when the two do not merge.
  const Merge* Find(int32_t left, int32_t right) const { return merges_.Find(Key(left, right)); }
  // No merge of this token with another has a lower rank.
  int32_t EarliestUse(int32_t token) const {
    const auto place = static_cast<size_t>(token);
    return place < earliest_use_.size() ? earliest_use_[place] : kNoRank;
  }
  size_t size() const { return merges_.size(); }

  // Merges until nothing merges any more. Time n log n at worst, linear for long runs; memory proportional to
  // n.
  void MergeAll(std::vector<int32_t>* tokens) const;

 private:
  static uint64_t Key(int32_t left, int32_t right) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
  }
  void MergeShort(std::vector<int32_t>* tokens) const;
  void MergeLong(std::vector<int32_t>* tokens) const;

  static constexpr int32_t kNoRank = std::numeric_limits<int32_t>::max();

  FlatMap<Merge> merges_;
  std::vector<int32_t> earliest_use_;  // of each token
};

}  // namespace weir
