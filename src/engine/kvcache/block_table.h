// Which blocks hold one sequence's tokens, in order. Paired verbs: CanCover/Cover, Free.
//
// Owns      references in the pool; Free() must run before destruction (DCHECK)
// Threads   engine thread only
#pragma once

#include <span>
#include <vector>

#include "engine/kvcache/block_pool.h"

namespace weir {

class BlockTable {
 public:
  BlockTable() = default;
  ~BlockTable();
  BlockTable(const BlockTable&) = delete;
  BlockTable& operator=(const BlockTable&) = delete;
  BlockTable(BlockTable&& other) noexcept;
  BlockTable& operator=(BlockTable&& other) noexcept;

  // Blocks that must be taken so that `num_tokens` in all fit.
  int BlocksMissing(int64_t num_tokens) const;
  bool CanCover(const BlockPool& pool, int64_t num_tokens) const {
    return pool.CanAllocate(BlocksMissing(num_tokens));
  }
  void Cover(BlockPool& pool, int64_t num_tokens);
  // Begins with blocks that others may hold too; the table is empty.
  void Adopt(BlockPool& pool, std::span<const BlockId> blocks);
  // Takes another block with the same content in place of its own.
  void Replace(BlockPool& pool, int index, BlockId block);
  void Free(BlockPool& pool);  // tail first, so that prefixes live longest

  std::span<const BlockId> blocks() const { return blocks_; }
  // Slot of a token: block * kBlockSize + place in the block.
  int64_t SlotOf(int64_t token_index) const {
    return static_cast<int64_t>(blocks_[token_index / kBlockSize]) * kBlockSize + token_index % kBlockSize;
  }

 private:
  std::vector<BlockId> blocks_;
};

}  // namespace weir
