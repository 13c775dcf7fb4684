// Which neighbouring tokens merge into which, and how early: the heart of byte pair encoding.
//
// Units     a rank is the merge's line number; lower merges first, and among equals the leftmost
// Errors    none
// Threads   immutable after the last Add(); any thread
#pragma once

#include <cstddef>
#include <cstdint>
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
  void Add(int32_t left, int32_t right, Merge merge) { merges_.Put(Key(left, right), merge); }
  // Null when the two do not merge.
  const Merge* Find(int32_t left, int32_t right) const { return merges_.Find(Key(left, right)); }
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

  FlatMap<Merge> merges_;
};

}  // namespace weir
