// Gets the memory of KV blocks from the kernel before the engine writes them.
//
// Owns      a thread, joined by the destructor; it reads addresses of `storage`, which must outlive it
// Errors    none: where the kernel cannot do it, pages come when they are first written, as ever
// Threads   NoteUsed() from the engine thread
//
// Blocks lie side by side within a layer, so all layers come to the end of their huge pages in the same step, and that step
// waited for a page per layer: 90 ms with 30 layers on a virtual machine whose memory was fresh, beside 50 ms of work.
// Not the whole cache at once: it is gigabytes, most of which a quiet server never writes.
#pragma once

#include <atomic>
#include <thread>

#include "base/clock.h"
#include "engine/kvcache/kv_storage.h"

namespace weir {

class PagesAhead {
 public:
  explicit PagesAhead(const KvStorage* storage);
  ~PagesAhead();
  PagesAhead(const PagesAhead&) = delete;
  PagesAhead& operator=(const PagesAhead&) = delete;

  // Blocks below this number are given out.
  void NoteUsed(int num_blocks);
  // Those below this number have their memory.
  int num_prepared() const { return num_prepared_.load(std::memory_order_acquire); }
  // How many blocks of a layer share a huge page; so many are prepared at once, and twice as many ahead of the used ones.
  int blocks_per_page() const { return blocks_per_page_; }

 private:
  void Run();
  int Wanted() const;
  // False: the kernel cannot.
  bool Prepare(int first, int end);
  // At most a quarter of a core, because the steps that run meanwhile need all of them; without regard once steps come near.
  void Rest(Duration worked) const;

  const KvStorage* const storage_;
  const int blocks_per_page_;
  std::atomic<int> num_used_{0};
  std::atomic<int> num_prepared_{0};
  std::atomic<bool> stop_{false};
  std::atomic<uint32_t> signal_{0};  // counts reasons to wake
  std::thread thread_;
};

}  // namespace weir
