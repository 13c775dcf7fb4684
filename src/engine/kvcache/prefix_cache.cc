#include "engine/kvcache/prefix_cache.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/rng.h"

namespace weir {
namespace {

constexpr uint64_t kFirstOdd = 0x9e3779b97f4a7c15u;
constexpr uint64_t kSecondOdd = 0xd6e8feb86659fd93u;

// Both halves of the product, so that every bit of either factor moves every bit of the result.
uint64_t Mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a ^ kFirstOdd) * (b ^ kSecondOdd);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

std::span<const int32_t> TokensOf(const PromptPrefix& prefix, int index) {
  return prefix.tokens.subspan(static_cast<size_t>(index) * kBlockSize, kBlockSize);
}

}  // namespace

PrefixCache::PrefixCache(BlockPool* pool, uint64_t hash_mask)
    : pool_(pool), seed_(RandomSeed()), hash_mask_(hash_mask), entries_(pool->num_blocks()) {
  pool_->set_eviction_sink(this);
}

PrefixCache::~PrefixCache() { pool_->set_eviction_sink(nullptr); }

std::vector<uint64_t> PrefixCache::HashBlocks(uint64_t salt, std::span<const int32_t> prompt) const {
  uint64_t hash = Mix(seed_, salt);
  std::vector<uint64_t> hashes(prompt.size() / kBlockSize);
  for (size_t block = 0; block < hashes.size(); ++block) {
    for (int i = 0; i < kBlockSize; i += 2) {
      const auto low = static_cast<uint32_t>(prompt[block * kBlockSize + i]);
      const auto high = static_cast<uint32_t>(prompt[block * kBlockSize + i + 1]);
      hash = Mix(hash ^ seed_, uint64_t{high} << 32 | low);
    }
    hashes[block] = hash & hash_mask_;
  }
  return hashes;
}

BlockId PrefixCache::FindOne(const PromptPrefix& prefix, int index, BlockId before) const {
  const auto [begin, end] = by_hash_.equal_range(prefix.hashes[index]);
  for (auto it = begin; it != end; ++it) {
    const Entry& entry = entries_[it->second];
    if (entry.before != before || entry.salt != prefix.salt) continue;
    if (std::ranges::equal(entry.tokens, TokensOf(prefix, index))) return it->second;
  }
  return kNoBlock;
}

int PrefixCache::CountCached(const PromptPrefix& prefix) const {
  MutexLock lock(mutex_);
  BlockId before = kNoBlock;
  int count = 0;
  for (; count < static_cast<int>(prefix.hashes.size()); ++count) {
    before = FindOne(prefix, count, before);
    if (before == kNoBlock) break;
  }
  return count;
}

void PrefixCache::Find(const PromptPrefix& prefix, std::vector<BlockId>* blocks) const {
  blocks->clear();
  MutexLock lock(mutex_);
  BlockId before = kNoBlock;
  for (int index = 0; index < static_cast<int>(prefix.hashes.size()); ++index) {
    before = FindOne(prefix, index, before);
    if (before == kNoBlock) return;
    blocks->push_back(before);
  }
}

BlockId PrefixCache::Keep(const PromptPrefix& prefix, int index, BlockId before, BlockId block) {
  MutexLock lock(mutex_);
  DCHECK(before == kNoBlock ? index == 0 : pool_->is_kept(before));
  if (const BlockId older = FindOne(prefix, index, before); older != kNoBlock) return older;
  Entry& entry = entries_[block];
  entry.hash = prefix.hashes[index];
  entry.before = before;
  entry.salt = prefix.salt;
  std::ranges::copy(TokensOf(prefix, index), entry.tokens.begin());
  by_hash_.emplace(entry.hash, block);
  pool_->Keep(block);
  return block;
}

int PrefixCache::num_blocks() const {
  MutexLock lock(mutex_);
  return static_cast<int>(by_hash_.size());
}

void PrefixCache::OnEvict(BlockId block) {
  MutexLock lock(mutex_);
  const auto [begin, end] = by_hash_.equal_range(entries_[block].hash);
  const auto found = std::find_if(begin, end, [&](const auto& item) { return item.second == block; });
  CHECK(found != end);
  by_hash_.erase(found);
  entries_[block] = {};
}

std::string PrefixCache::CheckInvariants() const {
  MutexLock lock(mutex_);
  std::vector<int> place(entries_.size(), -1);  // among the idle
  const std::vector<BlockId> idle = pool_->IdleBlocks();
  for (size_t i = 0; i < idle.size(); ++i) place[idle[i]] = static_cast<int>(i);
  std::vector<bool> is_listed(entries_.size(), false);
  for (const auto& [hash, block] : by_hash_) {
    if (is_listed[block]) return fmt::format("block {} is in the prefix cache twice", block);
    is_listed[block] = true;
    const Entry& entry = entries_[block];
    if (entry.hash != hash) return fmt::format("block {} is listed under a foreign hash", block);
    if (entry.before == kNoBlock) continue;
    if (!pool_->is_kept(entry.before)) return fmt::format("block {} lost the one before it", block);
    if (pool_->num_references(block) > pool_->num_references(entry.before))
      return fmt::format("block {} is held by more than block {}, which is before it", block, entry.before);
    if (place[block] >= 0 && place[entry.before] >= 0 && place[block] > place[entry.before])
      return fmt::format("block {} would be evicted before block {}, which is behind it", entry.before,
                         block);
  }
  for (BlockId block = 0; block < pool_->num_blocks(); ++block) {
    if (pool_->is_kept(block) != is_listed[block])
      return fmt::format("block {} is kept, but not listed, or the reverse", block);
  }
  return "";
}

}  // namespace weir
