// Which kept blocks hold which piece of which prompt, so that a prompt that begins like an earlier one is not computed
// again from its start.
//
// Units     whole blocks of prompt tokens, from a prompt's first token on
// Requires  blocks whose tokens were computed as a prompt's: then their bits depend on these tokens and those before
//           them alone, and who finds them gets what it would have computed
// Owns      the index; the blocks are the pool's, which tells it whom it evicts
// Threads   HashBlocks and CountCached: any. All else: engine thread
//
// A hash only says where to look. A block is found when salt and tokens are equal and the block before it is the very one
// found before. So nothing is shared between salts, whatever collides.
// Who holds a block holds all before it, and the last of a prompt are released first, so that no block is evicted
// before those behind it, which could not be found any more.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "engine/kvcache/block_pool.h"

namespace weir {

// The part of a prompt that is looked up or kept: as many blocks as there are hashes.
struct PromptPrefix {
  uint64_t salt = 0;
  std::span<const int32_t> tokens;
  std::span<const uint64_t> hashes;
};

class PrefixCache final : public EvictionSink {
 public:
  // `hash_mask` is for tests, which let all hashes collide.
  explicit PrefixCache(BlockPool* pool, uint64_t hash_mask = ~uint64_t{0});
  ~PrefixCache() override;
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  // One per whole block; each covers everything before it, and the salt.
  std::vector<uint64_t> HashBlocks(uint64_t salt, std::span<const int32_t> prompt) const;
  // Blocks at the start of the prefix that are kept now.
  int CountCached(const PromptPrefix& prefix) const;
  // The same, with the blocks. They stay until the next Allocate().
  void Find(const PromptPrefix& prefix, std::vector<BlockId>* blocks) const;
  // Offers block `index` of the prefix, computed and in use; the one before it was returned by this or by Find().
  // Returns the block that holds these tokens: the same, or an older one, which the caller takes instead.
  BlockId Keep(const PromptPrefix& prefix, int index, BlockId before, BlockId block);

  // False: nothing new is kept. Any thread.
  void SetGrows(bool grows) { grows_.store(grows, std::memory_order_relaxed); }
  bool grows() const { return grows_.load(std::memory_order_relaxed); }

  int num_blocks() const;
  void OnEvict(BlockId block) override;
  std::string CheckInvariants() const;

 private:
  struct Entry {
    uint64_t hash = 0;
    BlockId before = kNoBlock;
    uint64_t salt = 0;
    std::array<int32_t, kBlockSize> tokens{};
  };

  BlockId FindOne(const PromptPrefix& prefix, int index, BlockId before) const REQUIRES(mutex_);

  BlockPool* const pool_;
  const uint64_t seed_;  // so that nobody can make hashes collide on purpose
  const uint64_t hash_mask_;
  std::atomic<bool> grows_{true};
  mutable Mutex mutex_;
  std::vector<Entry> entries_ GUARDED_BY(mutex_);  // by block; means something while the block is kept
  std::unordered_multimap<uint64_t, BlockId> by_hash_ GUARDED_BY(mutex_);
};

}  // namespace weir
