#include "engine/kvcache/block_table.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace weir {

BlockTable::~BlockTable() { DCHECK(blocks_.empty()); }

BlockTable::BlockTable(BlockTable&& other) noexcept : blocks_(std::exchange(other.blocks_, {})) {}

BlockTable& BlockTable::operator=(BlockTable&& other) noexcept {
  DCHECK(blocks_.empty());
  blocks_ = std::exchange(other.blocks_, {});
  return *this;
}

int BlockTable::BlocksMissing(int64_t num_tokens) const {
  return std::max(0, BlocksFor(num_tokens) - static_cast<int>(blocks_.size()));
}

void BlockTable::Cover(BlockPool& pool, int64_t num_tokens) {
  for (int missing = BlocksMissing(num_tokens); missing > 0; --missing) blocks_.push_back(pool.Allocate());
}

void BlockTable::Adopt(BlockPool& pool, std::span<const BlockId> blocks) {
  DCHECK(blocks_.empty());
  for (BlockId block : blocks) {
    pool.AddReference(block);
    blocks_.push_back(block);
  }
}

void BlockTable::Replace(BlockPool& pool, int index, BlockId block) {
  pool.AddReference(block);
  pool.Release(blocks_[index]);
  blocks_[index] = block;
}

void BlockTable::Free(BlockPool& pool) {
  for (; !blocks_.empty(); blocks_.pop_back()) pool.Release(blocks_.back());
}

}  // namespace weir
