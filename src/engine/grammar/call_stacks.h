// Stacks of calls that share their lower parts; equal stacks have equal ids.
//
// Threads   one matcher, one thread
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir {

class CallStacks {
 public:
  static constexpr int32_t kEmpty = -1;

  int32_t Push(int32_t return_state, int32_t below);
  int32_t return_state(int32_t stack) const { return nodes_[static_cast<size_t>(stack)].return_state; }
  int32_t below(int32_t stack) const { return nodes_[static_cast<size_t>(stack)].below; }
  int32_t depth(int32_t stack) const { return stack < 0 ? 0 : nodes_[static_cast<size_t>(stack)].depth; }

  // Forgets all stacks made since Mark().
  size_t Mark() const { return nodes_.size(); }
  void Rollback(size_t mark);

 private:
  struct Node {
    int32_t return_state;
    int32_t below;
    int32_t depth;
  };

  size_t SlotOf(int32_t return_state, int32_t below) const;
  void Grow();

  std::vector<Node> nodes_;
  std::vector<int32_t> slots_ = std::vector<int32_t>(64, kEmpty);  // open addressing, a power of two
};

}  // namespace weir
