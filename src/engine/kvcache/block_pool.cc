#include "engine/kvcache/block_pool.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace weir {

BlockPool::BlockPool(int num_blocks)
    : references_(num_blocks, 0), is_kept_(num_blocks, false), idle_(num_blocks + 1) {
  // Taken from the back, so low block numbers go first and a small load touches little memory.
  free_.reserve(num_blocks);
  for (BlockId block = num_blocks - 1; block >= 0; --block) free_.push_back(block);
  idle_.back() = {num_blocks, num_blocks};
}

BlockId BlockPool::Allocate() {
  CHECK(num_free() > 0);
  BlockId block = kNoBlock;
  if (!free_.empty()) {
    block = free_.back();
    free_.pop_back();
  } else {
    block = idle_.back().next;
    TakeIdle(block);
    is_kept_[block] = false;
    if (sink_ != nullptr) sink_->OnEvict(block);
  }
  references_[block] = 1;
  end_of_given_ = std::max(end_of_given_, block + 1);
  peak_used_ = std::max(peak_used_, num_used());
  return block;
}

void BlockPool::AddReference(BlockId block) {
  CHECK(references_[block] > 0 || is_kept_[block]);
  if (references_[block] == 0) TakeIdle(block);
  ++references_[block];
  peak_used_ = std::max(peak_used_, num_used());
}

void BlockPool::Release(BlockId block) {
  CHECK(references_[block] > 0);
  if (--references_[block] > 0) return;
  if (is_kept_[block]) {
    AppendIdle(block);
  } else {
    free_.push_back(block);
  }
}

void BlockPool::Keep(BlockId block) {
  CHECK(references_[block] > 0 && !is_kept_[block]);
  is_kept_[block] = true;
}

void BlockPool::AppendIdle(BlockId block) {
  const BlockId head = num_blocks();
  const BlockId last = idle_[head].previous;
  idle_[block] = {last, head};
  idle_[last].next = block;
  idle_[head].previous = block;
  ++num_idle_;
}

void BlockPool::TakeIdle(BlockId block) {
  const Links links = idle_[block];
  idle_[links.previous].next = links.next;
  idle_[links.next].previous = links.previous;
  idle_[block] = {};
  --num_idle_;
}

std::vector<BlockId> BlockPool::IdleBlocks() const {
  std::vector<BlockId> blocks;
  const BlockId head = num_blocks();
  // Bounded, so that a broken ring is reported and not followed for ever.
  for (BlockId block = idle_[head].next; block != head && static_cast<int>(blocks.size()) < head;
       block = idle_[block].next) {
    if (block < 0 || block > head) break;
    blocks.push_back(block);
  }
  return blocks;
}

std::string BlockPool::CheckInvariants() const {
  std::vector<bool> listed(references_.size(), false);
  for (BlockId block : free_) {
    if (block < 0 || block >= num_blocks())
      return fmt::format("block {} is in the free list of {} blocks", block, num_blocks());
    if (listed[block]) return fmt::format("block {} is in the free list twice", block);
    if (is_kept_[block]) return fmt::format("block {} is kept, but given away as empty", block);
    listed[block] = true;
  }
  const std::vector<BlockId> idle = IdleBlocks();
  if (static_cast<int>(idle.size()) != num_idle_)
    return fmt::format("{} blocks are idle, {} were counted", idle.size(), num_idle_);
  for (BlockId block : idle) {
    if (listed[block] || !is_kept_[block])
      return fmt::format("block {} is idle, but {}", block, listed[block] ? "also free" : "not kept");
    listed[block] = true;
  }
  for (BlockId block = 0; block < num_blocks(); ++block) {
    if (references_[block] < 0 || (references_[block] == 0) != listed[block]) {
      return fmt::format("block {} has {} references and is{} in a free list", block, references_[block],
                         listed[block] ? "" : " not");
    }
  }
  return "";
}

}  // namespace weir
