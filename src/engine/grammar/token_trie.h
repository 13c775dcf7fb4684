// Token texts as one tree, so that texts with a common beginning are judged together.
//
// Requires  texts at most 65535 bytes long (longer ones are left out)
// Owns      its nodes; copies what it needs of the texts
// Threads   immutable after Build(); any thread
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace weir {

class TokenTrie {
 public:
  // In the order of a walk: a node's descendants follow it, up to `end`.
  struct Node {
    int32_t end = 0;
    int32_t first_token = 0;  // into tokens()
    int32_t num_tokens = 0;   // whose text ends here
    uint16_t depth = 0;       // of the root's children: 1
    uint8_t byte = 0;
  };

  // Empty texts are left out.
  static TokenTrie Build(std::vector<std::pair<std::string_view, int32_t>> texts);

  std::span<const Node> nodes() const { return nodes_; }
  std::span<const int32_t> tokens() const { return tokens_; }
  int max_depth() const { return max_depth_; }
  bool empty() const { return nodes_.empty(); }

 private:
  std::vector<Node> nodes_;
  std::vector<int32_t> tokens_;
  int max_depth_ = 0;
};

}  // namespace weir
