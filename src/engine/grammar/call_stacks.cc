#include "engine/grammar/call_stacks.h"

namespace weir {

size_t CallStacks::SlotOf(int32_t return_state, int32_t below) const {
  const size_t mask = slots_.size() - 1;
  uint64_t hash =
      (static_cast<uint64_t>(static_cast<uint32_t>(return_state)) << 32) | static_cast<uint32_t>(below);
  hash *= 0x9e3779b97f4a7c15ULL;
  size_t slot = static_cast<size_t>(hash >> 32) & mask;
  while (slots_[slot] >= 0) {
    const Node& node = nodes_[static_cast<size_t>(slots_[slot])];
    if (node.return_state == return_state && node.below == below) return slot;
    slot = (slot + 1) & mask;
  }
  return slot;
}

int32_t CallStacks::Push(int32_t return_state, int32_t below) {
  if (2 * (nodes_.size() + 1) > slots_.size()) Grow();
  const size_t slot = SlotOf(return_state, below);
  if (slots_[slot] >= 0) return slots_[slot];
  slots_[slot] = static_cast<int32_t>(nodes_.size());
  nodes_.push_back({return_state, below, depth(below) + 1});
  return slots_[slot];
}

void CallStacks::Grow() {
  slots_.assign(2 * slots_.size(), kEmpty);
  for (size_t i = 0; i < nodes_.size(); ++i)
    slots_[SlotOf(nodes_[i].return_state, nodes_[i].below)] = static_cast<int32_t>(i);
}

// The youngest first: nothing was put behind it that would have to pass its slot to be found.
void CallStacks::Rollback(size_t mark) {
  while (nodes_.size() > mark) {
    slots_[SlotOf(nodes_.back().return_state, nodes_.back().below)] = kEmpty;
    nodes_.pop_back();
  }
}

}  // namespace weir
