#include "engine/kvcache/block_pool.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace weir {

BlockPool::BlockPool(int num_blocks) : references_(num_blocks, 0) {
  // Taken from the back, so low block numbers go first and a small load touches little memory.
  free_.reserve(num_blocks);
  for (BlockId block = num_blocks - 1; block >= 0; --block) free_.push_back(block);
}

BlockId BlockPool::Allocate() {
  CHECK(!free_.empty());
  const BlockId block = free_.back();
  free_.pop_back();
  references_[block] = 1;
  peak_used_ = std::max(peak_used_, num_used());
  return block;
}

void BlockPool::AddReference(BlockId block) {
  CHECK(references_[block] > 0);
  ++references_[block];
}

void BlockPool::Release(BlockId block) {
  CHECK(references_[block] > 0);
  if (--references_[block] == 0) free_.push_back(block);
}

std::string BlockPool::CheckInvariants() const {
  std::vector<bool> listed(references_.size(), false);
  for (BlockId block : free_) {
    if (block < 0 || block >= num_blocks())
      return fmt::format("block {} is in the free list of {} blocks", block, num_blocks());
    if (listed[block]) return fmt::format("block {} is in the free list twice", block);
    listed[block] = true;
  }
  for (BlockId block = 0; block < num_blocks(); ++block) {
    if (references_[block] < 0 || (references_[block] == 0) != listed[block]) {
      return fmt::format("block {} has {} references and is{} in the free list", block, references_[block],
                         listed[block] ? "" : " not");
    }
  }
  return "";
}

}  // namespace weir
