#include "engine/gguf/fault_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

namespace weir {
namespace {

// Plain atomics, because the signal handler reads the table and may not lock.
struct Slot {
  std::atomic<bool> taken{false};
  std::atomic<uintptr_t> start{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<bool> faulted{false};
};
static_assert(std::atomic<uintptr_t>::is_always_lock_free);

constexpr int kNumSlots = 64;
Slot slots[kNumSlots];
struct sigaction previous_action;
uintptr_t page_bytes = 4096;

void PassOn(int signal_number, siginfo_t* info, void* context) {
  if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
    previous_action.sa_sigaction(signal_number, info, context);
  } else if (previous_action.sa_handler == SIG_DFL || previous_action.sa_handler == SIG_IGN) {
    // The access is repeated on return and then ends the process the ordinary way.
    struct sigaction fatal = {};
    fatal.sa_handler = SIG_DFL;
    sigaction(SIGBUS, &fatal, nullptr);
  } else {
    previous_action.sa_handler(signal_number);
  }
}

void OnBusError(int signal_number, siginfo_t* info, void* context) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (Slot& slot : slots) {
    const uintptr_t start = slot.start.load(std::memory_order_acquire);
    const uintptr_t end = slot.end.load(std::memory_order_acquire);
    if (address < start || address >= end) continue;
    slot.faulted.store(true, std::memory_order_release);
    // Behind the missing page everything is missing as well, so one call ends the faults of this file.
    const uintptr_t page = address & ~(page_bytes - 1);
    void* const zeros = mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (zeros != MAP_FAILED) return;
  }
  PassOn(signal_number, info, context);
}

void InstallHandler() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    struct sigaction action = {};
    action.sa_sigaction = OnBusError;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous_action);
  });
}

}  // namespace

Result<FaultGuard> FaultGuard::Protect(void* start, size_t bytes) {
  InstallHandler();
  for (int i = 0; i < kNumSlots; ++i) {
    if (slots[i].taken.exchange(true)) continue;
    FaultGuard guard;
    guard.slot_ = i;
    const uintptr_t first = reinterpret_cast<uintptr_t>(start);
    slots[i].faulted.store(false);
    slots[i].end.store((first + bytes + page_bytes - 1) & ~(page_bytes - 1), std::memory_order_release);
    slots[i].start.store(first, std::memory_order_release);
    return guard;
  }
  return ResourceExhausted("too many model files are open at once; close some");
}

FaultGuard::~FaultGuard() {
  if (slot_ < 0) return;
  Slot& slot = slots[slot_];
  slot.end.store(0, std::memory_order_release);
  slot.start.store(0, std::memory_order_release);
  slot.taken.store(false, std::memory_order_release);
}

FaultGuard::FaultGuard(FaultGuard&& other) noexcept : slot_(std::exchange(other.slot_, -1)) {}

FaultGuard& FaultGuard::operator=(FaultGuard&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}

bool FaultGuard::Faulted() const {
  return slot_ >= 0 && slots[slot_].faulted.load(std::memory_order_acquire);
}

}  // namespace weir
