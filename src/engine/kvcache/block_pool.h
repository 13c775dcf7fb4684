// All KV blocks of the engine: which are free, and how often each used one is referenced.
//
// Units     blocks of `block_size` tokens
// Owns      bookkeeping only; the bytes are in KvStorage
// Errors    none: callers ask CanAllocate() first (CHECK)
// Threads   engine thread only
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace weir {

inline constexpr int kBlockSize = 16;
using BlockId = int32_t;

inline int BlocksFor(int64_t num_tokens) {
  return static_cast<int>((num_tokens + kBlockSize - 1) / kBlockSize);
}

class BlockPool {
 public:
  explicit BlockPool(int num_blocks);

  int num_blocks() const { return static_cast<int>(references_.size()); }
  int num_free() const { return static_cast<int>(free_.size()); }
  int num_used() const { return num_blocks() - num_free(); }
  int peak_used() const { return peak_used_; }

  bool CanAllocate(int count) const { return count <= num_free(); }
  BlockId Allocate();
  void AddReference(BlockId block);
  void Release(BlockId block);

  // Empty when sound, else what is wrong.
  std::string CheckInvariants() const;

 private:
  std::vector<BlockId> free_;
  std::vector<int32_t> references_;
  int peak_used_ = 0;
};

}  // namespace weir
