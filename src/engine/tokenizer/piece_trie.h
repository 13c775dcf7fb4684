// The pieces of a vocabulary by their characters, walked one character at a time.
//
// Threads   immutable after the last Add(); any thread
//
// One hash table for all edges: a walk over a repetitive text stays in the cache, and building is linear.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/tokenizer/flat_map.h"

namespace weir {

class PieceTrie {
 public:
  static constexpr uint32_t kRoot = 0;
  static constexpr uint32_t kNowhere = 0xFFFFFFFF;

  // The first of equal pieces wins. Empty ones are never found.
  void Add(std::span<const int32_t> characters, int32_t value) {
    uint32_t node = kRoot;
    for (const int32_t character : characters) {
      uint32_t next = Next(node, character);
      if (next == kNowhere) {
        next = static_cast<uint32_t>(values_.size());
        values_.push_back(-1);
        edges_.Put(Key(node, character), next);
      }
      node = next;
    }
    if (node != kRoot && values_[node] < 0) values_[node] = value;
  }

  uint32_t Next(uint32_t node, int32_t character) const {
    const uint32_t* next = edges_.Find(Key(node, character));
    return next == nullptr ? kNowhere : *next;
  }

  // -1 where no piece ends.
  int32_t value(uint32_t node) const { return values_[node]; }

 private:
  static uint64_t Key(uint32_t node, int32_t character) {
    return (static_cast<uint64_t>(node) << 32) | static_cast<uint32_t>(character);
  }

  FlatMap<uint32_t> edges_;
  std::vector<int32_t> values_ = std::vector<int32_t>(1, -1);
};

}  // namespace weir
