// Finds the special tokens that a text names, the longest where several begin at one place.
//
// Threads   immutable after the last Add(); any thread
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weir {

class SpecialMatcher {
 public:
  struct Match {
    size_t begin = 0;
    size_t bytes = 0;  // 0: nothing found
    int32_t id = -1;
  };

  // Empty texts are never found; the first of equal texts wins.
  void Add(std::string_view text, int32_t id);
  bool empty() const { return nodes_.size() == 1; }
  // The first match at or behind `position`. Time per character is bounded by the longest special token.
  Match Find(std::string_view text, size_t position) const;

 private:
  struct Node {
    int32_t id = -1;
    std::unordered_map<char, int32_t> children;
  };

  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<int32_t, 256> first_{};  // root's children by byte; 0 is none
};

}  // namespace weir
