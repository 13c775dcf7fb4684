// A hash table from numbers to small values, in one piece of memory: half the time of std::unordered_map where a megabyte of
// text asks millions of times.
//
// Requires  no key is ~0
// Threads   immutable after the last Put(); any thread
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir {

template <typename Value>
class FlatMap {
 public:
  void Reserve(size_t entries) {
    size_t wanted = slots_.size();
    while (wanted < 2 * entries) wanted *= 2;
    if (wanted > slots_.size()) Rehash(wanted);
  }

  // A key put twice keeps its last value.
  void Put(uint64_t key, const Value& value) {
    if (2 * (size_ + 1) > slots_.size()) Rehash(2 * slots_.size());
    Slot& slot = slots_[SlotOf(key)];
    size_ += slot.key == kFree ? 1 : 0;
    slot = {key, value};
  }

  // Null where there is none; valid until the next Put().
  const Value* Find(uint64_t key) const {
    const Slot& slot = slots_[SlotOf(key)];
    return slot.key == kFree ? nullptr : &slot.value;
  }

  size_t size() const { return size_; }

 private:
  struct Slot {
    uint64_t key = kFree;
    Value value{};
  };
  static constexpr uint64_t kFree = ~uint64_t{0};

  // Where the key is, or would be.
  size_t SlotOf(uint64_t key) const {
    const uint64_t hash = key * 0x9E3779B97F4A7C15ull;
    const size_t mask = slots_.size() - 1;
    size_t slot = static_cast<size_t>(hash ^ (hash >> 32)) & mask;
    while (slots_[slot].key != kFree && slots_[slot].key != key) slot = (slot + 1) & mask;
    return slot;
  }

  void Rehash(size_t slots) {
    std::vector<Slot> old(slots);
    old.swap(slots_);
    for (const Slot& slot : old)
      if (slot.key != kFree) slots_[SlotOf(slot.key)] = slot;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(16);
  size_t size_ = 0;
};

}  // namespace weir
