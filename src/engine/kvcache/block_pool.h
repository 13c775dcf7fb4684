// All KV blocks of the engine: which are free, and how often each used one is referenced.
//
// Units     blocks of `block_size` tokens
// Owns      bookkeeping only; the bytes are in KvStorage
// Errors    none: callers ask CanAllocate() first (CHECK)
// Threads   engine thread only
//
// A block that was kept stays readable after its last release: it is free, but given out only when no other is, the one
// longest out of use first.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace weir {

inline constexpr int kBlockSize = 16;
using BlockId = int32_t;
inline constexpr BlockId kNoBlock = -1;

inline int BlocksFor(int64_t num_tokens) {
  return static_cast<int>((num_tokens + kBlockSize - 1) / kBlockSize);
}

// Told when a kept block is about to be overwritten.
class EvictionSink {
 public:
  virtual ~EvictionSink() = default;
  virtual void OnEvict(BlockId block) = 0;
};

class BlockPool {
 public:
  explicit BlockPool(int num_blocks);

  int num_blocks() const { return static_cast<int>(references_.size()); }
  int num_free() const { return static_cast<int>(free_.size()) + num_idle_; }
  int num_used() const { return num_blocks() - num_free(); }
  int peak_used() const { return peak_used_; }
  // All blocks that were ever given out are below this number.
  int end_of_given() const { return end_of_given_; }
  int num_references(BlockId block) const { return references_[block]; }

  bool CanAllocate(int count) const { return count <= num_free(); }
  BlockId Allocate();
  // Of a used block, or of a kept one, which thereby comes back into use.
  void AddReference(BlockId block);
  void Release(BlockId block);

  // From now on the used block survives its last release, until `sink` is told otherwise.
  void Keep(BlockId block);
  bool is_kept(BlockId block) const { return is_kept_[block]; }
  void set_eviction_sink(EvictionSink* sink) { sink_ = sink; }
  // Kept blocks without a reference, the next one to be evicted first.
  std::vector<BlockId> IdleBlocks() const;

  // Empty when sound, else what is wrong.
  std::string CheckInvariants() const;

 private:
  // A ring through the idle blocks: the last place, num_blocks(), is its head.
  struct Links {
    BlockId previous = kNoBlock;
    BlockId next = kNoBlock;
  };
  void AppendIdle(BlockId block);
  void TakeIdle(BlockId block);

  std::vector<BlockId> free_;  // those that hold nothing
  std::vector<int32_t> references_;
  std::vector<bool> is_kept_;
  std::vector<Links> idle_;
  int num_idle_ = 0;
  int peak_used_ = 0;
  int end_of_given_ = 0;
  EvictionSink* sink_ = nullptr;
};

}  // namespace weir
