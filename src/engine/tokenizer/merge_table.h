// Which neighbouring tokens merge into which, and how early: the heart of byte pair encoding.
//
// Units     a rank is the merge's line number; lower merges first, and among equals the leftmost
// Errors    none
// Threads   immutable after the last Add(); any thread
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace weir {

class MergeTable {
 public:
  struct Merge {
    int32_t rank;
    int32_t result;
  };

  void Reserve(size_t merges) { merges_.reserve(merges); }
  // A pair named twice keeps its last rank, as the reference does.
  void Add(int32_t left, int32_t right, Merge merge) { merges_[Key(left, right)] = merge; }
  // Null when the two do not merge.
  const Merge* Find(int32_t left, int32_t right) const {
    const auto found = merges_.find(Key(left, right));
    return found == merges_.end() ? nullptr : &found->second;
  }
  size_t size() const { return merges_.size(); }

  // Merges until nothing merges any more. Time n log n at worst, linear for long runs; memory proportional to
  // n.
  void MergeAll(std::vector<int32_t>* tokens) const;

 private:
  struct KeyHash {
    size_t operator()(uint64_t key) const {
      key *= 0x9E3779B97F4A7C15ull;
      return key ^ (key >> 32);
    }
  };

  static uint64_t Key(int32_t left, int32_t right) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
  }
  void MergeShort(std::vector<int32_t>* tokens) const;
  void MergeLong(std::vector<int32_t>* tokens) const;

  std::unordered_map<uint64_t, Merge, KeyHash> merges_;
};

}  // namespace weir
