#include "engine/kvcache/pages_ahead.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace weir {
namespace {

constexpr int64_t kHugePageBytes = int64_t{2} << 20;
#if !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23  // since Linux 5.14; older headers lack it
#endif

}  // namespace

PagesAhead::PagesAhead(const KvStorage* storage)
    : storage_(storage),
      blocks_per_page_(static_cast<int>(std::max<int64_t>(1, kHugePageBytes / storage->block_stride()))) {
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "weir-pages");
}

PagesAhead::~PagesAhead() {
  stop_.store(true, std::memory_order_release);
  signal_.fetch_add(1, std::memory_order_release);
  signal_.notify_one();
  thread_.join();
}

void PagesAhead::NoteUsed(int num_blocks) {
  if (num_blocks <= num_used_.load(std::memory_order_relaxed)) return;
  num_used_.store(num_blocks, std::memory_order_release);
  if (num_prepared() >= Wanted()) return;
  signal_.fetch_add(1, std::memory_order_release);
  signal_.notify_one();
}

int PagesAhead::Wanted() const {
  return std::min(storage_->num_blocks(), num_used_.load(std::memory_order_acquire) + 2 * blocks_per_page_);
}

void PagesAhead::Run() {
  while (!stop_.load(std::memory_order_acquire)) {
    const uint32_t seen = signal_.load(std::memory_order_acquire);
    const int first = num_prepared();
    if (first >= Wanted()) {
      signal_.wait(seen, std::memory_order_acquire);
      continue;
    }
    const int end = std::min(storage_->num_blocks(), first + blocks_per_page_);
    if (!Prepare(first, end)) return;
    num_prepared_.store(end, std::memory_order_release);
  }
}

bool PagesAhead::Prepare(int first, int end) {
  for (int layer = 0; layer < storage_->shape().num_layers; ++layer) {
    if (stop_.load(std::memory_order_acquire)) return true;
    const TimePoint started = MonotonicClock::Get().Now();
    const auto address = reinterpret_cast<uintptr_t>(storage_->blocks(layer, 0));
    // Whole pages: what they hold beside these blocks is needed soon, or here already.
    const uintptr_t mask = ~(uintptr_t{4096} - 1);
    const uintptr_t from = (address + static_cast<uintptr_t>(first * storage_->block_stride())) & mask;
    const uintptr_t to = address + static_cast<uintptr_t>(end * storage_->block_stride());
    if (madvise(reinterpret_cast<void*>(from), to - from, MADV_POPULATE_WRITE) != 0 && errno != EINTR &&
        errno != EAGAIN)
      return false;
    Rest(MonotonicClock::Get().Now() - started);
  }
  return true;
}

void PagesAhead::Rest(Duration worked) const {
  constexpr int kRestPerWork = 3;
  if (num_used_.load(std::memory_order_acquire) > num_prepared()) return;
  std::this_thread::sleep_for(kRestPerWork * worked);
}

}  // namespace weir
