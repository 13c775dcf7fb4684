#include "engine/kernels/thread_pool.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <system_error>

namespace weir {
namespace {

// About 30 us: longer than the gap between two phases, far shorter than an idle engine.
constexpr int kSpins = 2000;

void Pause() { __builtin_ia32_pause(); }

// The parts of a phase that nobody has claimed: [first, end).
struct Claims {
  static constexpr int kMost = 0xffff;
  uint64_t word = 0;

  static Claims Of(uint64_t phase, int end) { return {phase << 32 | static_cast<uint32_t>(end)}; }
  int first() const { return static_cast<int>(word >> 16 & kMost); }
  int end() const { return static_cast<int>(word & kMost); }
  int left() const { return end() - first(); }
  Claims WithoutFirst(int count) const { return {word + (static_cast<uint64_t>(count) << 16)}; }
  Claims WithoutLast(int count) const { return {word - static_cast<uint64_t>(count)}; }
};

}  // namespace

int ThreadPool::AvailableCores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof(cores), &cores) != 0) return 1;
  return std::max(1, CPU_COUNT(&cores));
}

Result<std::unique_ptr<ThreadPool>> ThreadPool::Create(int num_threads) {
  std::unique_ptr<ThreadPool> pool(new ThreadPool);
  pool->max_awake_ = std::max(1, AvailableCores() - 1);
  pool->num_awake_ = std::max(0, num_threads - 1);
  pool->workers_.reserve(static_cast<size_t>(std::max(0, num_threads - 1)));
  for (int i = 1; i < num_threads; ++i) {
    try {
      pool->workers_.emplace_back([raw = pool.get(), i] { raw->WorkerLoop(i); });
    } catch (const std::system_error& error) {
      return ResourceExhausted(fmt::format("cannot start worker thread {} of {}: {}; use fewer threads", i,
                                           num_threads - 1, error.what()));
    }
  }
  return pool;
}

ThreadPool::~ThreadPool() {
  stopping_.store(true);
  phase_.fetch_add(1, std::memory_order_release);
  phase_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunErased(int num_units, int grain, Call call, const void* body) {
  const int units_per_part = num_units / Claims::kMost + 1;
  const int num_parts = (num_units + units_per_part - 1) / units_per_part;
  if (workers_.empty() || num_parts <= grain) {
    for (int unit = 0; unit < num_units; ++unit) call(body, unit, 0, unit + 1 < num_units ? unit + 1 : -1);
    return;
  }
  const StepSegment segment = profile_ != nullptr ? profile_->current() : StepSegment::kOther;
  EnterSegment(profile_, StepSegment::kBarrierWait);
  call_ = call;
  body_ = body;
  num_units_ = num_units;
  units_per_part_ = units_per_part;
  grain = std::max(1, grain / units_per_part);
  grain_.store(grain, std::memory_order_relaxed);
  num_done_.store(0, std::memory_order_relaxed);
  const uint64_t phase = (claims_.load(std::memory_order_relaxed) >> 32) + 1;
  claims_.store(Claims::Of(phase, num_parts).word, std::memory_order_release);
  phase_.fetch_add(1);
  Wake((num_parts + grain - 1) / grain);
  EnterSegment(profile_, segment);
  Work(0);
  EnterSegment(profile_, StepSegment::kBarrierWait);
  AwaitParts(num_parts);
}

void ThreadPool::Wake(int num_claims) {
  const int useful = std::min(num_claims - 1, max_awake_);
  for (int awake = num_awake_.load(); awake < useful; ++awake) phase_.notify_one();
}

void ThreadPool::AwaitParts(int num_parts) {
  for (int spins = 0;; ++spins) {
    const int32_t done = num_done_.load(std::memory_order_acquire);
    if (done == num_parts) return;
    if (spins < kSpins) {
      Pause();
      continue;
    }
    caller_sleeps_.store(true);
    num_done_.wait(done);
    caller_sleeps_.store(false);
  }
}

void ThreadPool::Work(int thread) {
  Claims claims{claims_.load(std::memory_order_acquire)};
  const bool from_front = ClaimsFromFront(thread);
  while (claims.left() > 0) {
    const int grain = grain_.load(std::memory_order_relaxed);
    const int count = ClaimOf(claims.left(), grain);
    const Claims rest = from_front ? claims.WithoutFirst(count) : claims.WithoutLast(count);
    if (!claims_.compare_exchange_weak(claims.word, rest.word, std::memory_order_acq_rel)) continue;
    // The phase cannot end before this claim is counted, so its members hold still.
    const int first = (from_front ? claims.first() : rest.end()) * units_per_part_;
    const int last = std::min(first + count * units_per_part_, num_units_);
    const int next_first = from_front ? rest.first() : rest.end() - ClaimOf(rest.left(), grain);
    const int next_claim = rest.left() > 0 ? next_first * units_per_part_ : -1;
    for (int unit = first; unit < last; ++unit)
      call_(body_, unit, thread, unit + 1 < last ? unit + 1 : next_claim);
    num_done_.fetch_add(count);
    if (thread != 0 && caller_sleeps_.load()) num_done_.notify_one();
    claims.word = claims_.load(std::memory_order_acquire);
  }
}

void ThreadPool::WorkerLoop(int thread) {
  for (;;) {
    // In this order: a stop that comes between the two changes the phase after it was seen, so the wait below ends.
    const uint32_t seen = phase_.load(std::memory_order_acquire);
    if (stopping_.load()) return;
    Work(thread);
    // Those that there are no cores for leave at once.
    int spins = num_awake_.load(std::memory_order_relaxed) > max_awake_ ? kSpins : 0;
    while (phase_.load(std::memory_order_acquire) == seen) {
      if (spins++ < kSpins) {
        Pause();
        continue;
      }
      num_awake_.fetch_sub(1);
      phase_.wait(seen);
      num_awake_.fetch_add(1);
    }
  }
}

}  // namespace weir
