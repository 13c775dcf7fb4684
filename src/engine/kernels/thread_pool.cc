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
  stopping_ = true;
  phase_.fetch_add(1, std::memory_order_release);
  phase_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunErased(int num_units, Call call, const void* body) {
  if (workers_.empty() || num_units <= 1) {
    for (int unit = 0; unit < num_units; ++unit) call(body, unit, 0);
    return;
  }
  call_ = call;
  body_ = body;
  num_units_ = num_units;
  next_unit_.store(0, std::memory_order_relaxed);
  running_.store(static_cast<int32_t>(workers_.size()), std::memory_order_relaxed);
  phase_.fetch_add(1, std::memory_order_release);
  phase_.notify_all();
  Work(0);
  for (int spins = 0;; ++spins) {
    const int32_t running = running_.load(std::memory_order_acquire);
    if (running == 0) return;
    if (spins < kSpins)
      Pause();
    else
      running_.wait(running, std::memory_order_acquire);
  }
}

void ThreadPool::Work(int thread) {
  while (true) {
    const int32_t unit = next_unit_.fetch_add(1, std::memory_order_relaxed);
    if (unit >= num_units_) return;
    call_(body_, unit, thread);
  }
}

void ThreadPool::WorkerLoop(int thread) {
  uint32_t seen = 0;
  while (true) {
    for (int spins = 0; phase_.load(std::memory_order_acquire) == seen; ++spins) {
      if (spins < kSpins)
        Pause();
      else
        phase_.wait(seen, std::memory_order_acquire);
    }
    ++seen;
    if (stopping_) return;
    Work(thread);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

}  // namespace weir
