// Persistent workers that share out the units of one phase of a step.
//
// Requires  Run() from one thread only, the one that counts as worker 0
// Owns      num_threads - 1 threads, joined by the destructor
// Errors    Create: RESOURCE_EXHAUSTED when the system gives no thread
// Threads   units are claimed a few at a time, so a disturbed core simply does fewer
//
// A phase ends when its units are done, not when every worker has come by: one that the system has put aside is not
// waited for unless it holds a unit. Workers spin briefly between phases (a phase lasts tens of microseconds), then sleep:
// nothing spins while idle. Of more threads than cores only as many as there are cores stay awake: one more could only take
// a core from one that works, and waking it would cost more than its units.
//
// Workers claim from the end and the caller from the front, so that on two cores each gets the same half of the units in every
// phase: where the units of several phases are parts of the same rows, a row's data stay in one core's cache.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "engine/kernels/step_profile.h"

namespace weir {

class ThreadPool {
 public:
  static Result<std::unique_ptr<ThreadPool>> Create(int num_threads);
  // Cores of the affinity mask.
  static int AvailableCores();
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // The unit that a thread probably does first in a phase.
  int FirstUnit(int num_units, int grain, int thread) const {
    return ClaimsFromFront(thread) ? 0 : num_units - ClaimOf(num_units, grain);
  }
  int num_threads() const { return static_cast<int>(workers_.size()) + 1; }
  // From now on Run() enters kBarrierWait while it starts and awaits the workers, and is in it when it returns; around
  // worker 0's own units the caller's segment goes on. Null: off. Never during Run().
  void set_profile(StepProfile* profile) { profile_ = profile; }

  // Calls body(unit, thread) for every unit in [0, num_units), or body(unit, thread, next) with the unit that the thread will
  // probably do next, -1 for none; returns when all are done. A thread claims up to `grain` neighbouring units at a time: where
  // they read memory one after another, its stream then stays in one piece. Towards the end it claims fewer, so that nobody
  // waits long for the last.
  template <typename Body>
  void Run(int num_units, int grain, const Body& body) {
    RunErased(
        num_units, grain,
        [](const void* b, int unit, int thread, int next) {
          if constexpr (std::is_invocable_v<Body, int, int, int>)
            (*static_cast<const Body*>(b))(unit, thread, next);
          else
            (*static_cast<const Body*>(b))(unit, thread);
        },
        &body);
  }
  template <typename Body>
  void Run(int num_units, const Body& body) {
    Run(num_units, 1, body);
  }

 private:
  using Call = void (*)(const void* body, int unit, int thread, int next);

  ThreadPool() = default;
  static bool ClaimsFromFront(int thread) { return thread == 0; }
  // How many of the parts that are left, at least one, a thread claims.
  int ClaimOf(int left, int grain) const { return std::clamp(left / (2 * num_threads()), 1, grain); }
  void RunErased(int num_units, int grain, Call call, const void* body);
  void Wake(int num_parts);
  void AwaitParts(int num_parts);
  void Work(int thread);
  void WorkerLoop(int thread);

  std::vector<std::thread> workers_;
  StepProfile* profile_ = nullptr;  // worker 0 only
  // Of the running phase: written before `claims_`, read only by who holds a unit of it.
  Call call_ = nullptr;
  const void* body_ = nullptr;
  int num_units_ = 0;
  int units_per_part_ = 1;
  // Parts. Atomic because it is read for a claim that then fails when the phase is over.
  std::atomic<int> grain_{1};
  int max_awake_ = 1;  // workers that there are cores for
  std::atomic<bool> stopping_{false};
  // Phase number in the upper half, the first of the parts not yet claimed and the end of them in the lower: a late worker
  // cannot claim from the wrong phase.
  alignas(64) std::atomic<uint64_t> claims_{0};
  alignas(64) std::atomic<int32_t> num_done_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};
  // Who sleeps says so before it looks a last time, who has news for it looks here after telling them: so neither a wake
  // is lost nor a system call spent on nobody.
  alignas(64) std::atomic<int32_t> num_awake_{0};  // workers, those that start included
  std::atomic<bool> caller_sleeps_{false};
};

}  // namespace weir
