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

void ThreadPool::RunErased(int num_units, Call call, const void* body) {
  if (workers_.empty() || num_units <= 1) {
    for (int unit = 0; unit < num_units; ++unit) call(body, unit, 0);
    return;
  }
  const StepSegment segment = profile_ != nullptr ? profile_->current() : StepSegment::kOther;
  EnterSegment(profile_, StepSegment::kBarrierWait);
  call_ = call;
  body_ = body;
  num_units_ = num_units;
  num_done_.store(0, std::memory_order_relaxed);
  const uint64_t phase = (claims_.load(std::memory_order_relaxed) >> 32) + 1;
  claims_.store(phase << 32 | static_cast<uint32_t>(num_units), std::memory_order_release);
  phase_.fetch_add(1);
  Wake(num_units);
  EnterSegment(profile_, segment);
  Work(0);
  EnterSegment(profile_, StepSegment::kBarrierWait);
  AwaitUnits(num_units);
}

void ThreadPool::Wake(int num_units) {
  const int useful = std::min(num_units - 1, max_awake_);
  for (int awake = num_awake_.load(); awake < useful; ++awake) phase_.notify_one();
}

void ThreadPool::AwaitUnits(int num_units) {
  for (int spins = 0;; ++spins) {
    const int32_t done = num_done_.load(std::memory_order_acquire);
    if (done == num_units) return;
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
  uint64_t claim = claims_.load(std::memory_order_acquire);
  while (static_cast<uint32_t>(claim) != 0) {
    if (!claims_.compare_exchange_weak(claim, claim - 1, std::memory_order_acq_rel)) continue;
    // The phase cannot end before this unit is counted, so its members hold still.
    call_(body_, num_units_ - static_cast<int>(static_cast<uint32_t>(claim)), thread);
    num_done_.fetch_add(1);
    if (thread != 0 && caller_sleeps_.load()) num_done_.notify_one();
    claim = claims_.load(std::memory_order_acquire);
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
