#include "engine/machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <set>
#include <sstream>
#include <system_error>
#include <thread>

#include "base/file.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/thread_pool.h"
#include "engine/tensor/aligned_buffer.h"

namespace weir {
namespace {

// Enough windows that one disturbed by a neighbour is not the one that counts.
constexpr int kWindows = 5;
constexpr int64_t kMaxProbeBytes = int64_t{1} << 30;
constexpr int64_t kDefaultCacheBytes = int64_t{32} << 20;

std::vector<int> AffinityCores() {
  std::vector<int> cores;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  return cores;
}

void PinTo(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  // A refusal costs precision, nothing else.
  (void)sched_setaffinity(0, sizeof(set), &set);
}

TimePoint Now() { return MonotonicClock::Get().Now(); }

// One pass over a thread's share: units of work done (MACs or bytes).
using Pass = std::function<double(int thread)>;

double RunWindow(const Pass& pass, int num_threads, const std::vector<int>& cores, Duration length) {
  std::atomic<int> ready{0};
  std::vector<double> rates(static_cast<size_t>(num_threads), 0.0);
  const auto body = [&](int thread) {
    if (!cores.empty()) PinTo(cores[static_cast<size_t>(thread) % cores.size()]);
    pass(thread);  // first touch, clocks up
    ready.fetch_add(1);
    while (ready.load() < num_threads) __builtin_ia32_pause();
    const TimePoint start = Now();
    double done = 0;
    do {
      done += pass(thread);
    } while (Now() - start < length);
    rates[static_cast<size_t>(thread)] = done / ToSeconds(Now() - start);
  };
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(num_threads));
  for (int i = 0; i < num_threads; ++i) {
    try {
      threads.emplace_back(body, i);
    } catch (const std::system_error&) {
      ready.fetch_add(1);  // the others must not wait for this one
    }
  }
  for (std::thread& thread : threads) thread.join();
  double sum = 0;
  for (const double rate : rates) sum += rate;
  return sum;
}

double BestWindow(const Pass& pass, int num_threads, const std::vector<int>& cores, Duration budget) {
  double best = 0;
  for (int i = 0; i < kWindows; ++i)
    best = std::max(best, RunWindow(pass, num_threads, cores, budget / kWindows));
  return best;
}

// Share of the mapping at `address` that lies in huge pages.
double HugePageRatio(const void* address) {
  const Result<std::string> smaps = ReadFile("/proc/self/smaps");
  if (!smaps.has_value()) return 0;
  std::istringstream lines(*smaps);
  std::string line;
  bool inside = false;
  double rss = 0;
  while (std::getline(lines, line)) {
    unsigned long first = 0;
    unsigned long last = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &first, &last) == 2) {
      const auto wanted = reinterpret_cast<uintptr_t>(address);
      inside = first <= wanted && wanted < last;
    }
    double kilobytes = 0;
    if (inside && std::sscanf(line.c_str(), "Rss: %lf", &kilobytes) == 1) rss = kilobytes;
    if (inside && std::sscanf(line.c_str(), "AnonHugePages: %lf", &kilobytes) == 1)
      return rss > 0 ? kilobytes / rss : 0;
  }
  return 0;
}

struct Bandwidth {
  double bytes_per_s = 0;
  double huge_page_ratio = 0;
};

Bandwidth ProbeBandwidth(const KernelTable& kernels, int64_t bytes, int num_threads,
                         const std::vector<int>& cores, Duration budget) {
  Result<AlignedBuffer> buffer = AlignedBuffer::Allocate(static_cast<size_t>(bytes));
  if (!buffer.has_value()) return {};
  // Untouched pages all show the same zero page.
  for (int64_t i = 0; i < bytes; i += 4096) buffer->data()[i] = std::byte{1};
  const int64_t share = bytes / num_threads / 4096 * 4096;
  std::atomic<uint64_t> sink{0};
  const auto pass = [&](int thread) {
    sink += kernels.probe_read(buffer->as<unsigned char>(static_cast<size_t>(thread * share)), share);
    return static_cast<double>(share);
  };
  Bandwidth result;
  result.bytes_per_s = BestWindow(pass, num_threads, cores, budget);
  result.huge_page_ratio = HugePageRatio(buffer->data());
  return result;
}

int64_t LastLevelCacheBytes() {
  const long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return bytes > 0 ? bytes : kDefaultCacheBytes;
}

// From the weights' size on, each half as large again, to the step's; and one beyond every cache.
std::set<int64_t> ReadSizes(int64_t weight_bytes, int64_t step_bytes) {
  const auto clamped = [](int64_t bytes) { return std::clamp(bytes, int64_t{1} << 20, kMaxProbeBytes); };
  std::set<int64_t> sizes = {clamped(weight_bytes), clamped(4 * LastLevelCacheBytes())};
  const int64_t largest = clamped(step_bytes);
  // A size close to another would only take its time again.
  for (int64_t bytes = clamped(weight_bytes); bytes + bytes / 8 < largest; bytes += bytes / 2)
    sizes.insert(std::min(bytes + bytes / 2, largest));
  return sizes;
}

}  // namespace

MachineRoofs ProbeMachine(int num_threads, int64_t weight_bytes, int64_t step_bytes, Duration budget,
                          const std::string& isa) {
  MachineRoofs roofs;
  const std::vector<int> cores = AffinityCores();
  roofs.num_threads = num_threads > 0 ? num_threads : ThreadPool::AvailableCores();
  const Result<const KernelTable*> selected = SelectKernels(isa);
  if (!selected.has_value()) return roofs;
  const KernelTable& kernels = **selected;

  for (const int64_t bytes : ReadSizes(weight_bytes, step_bytes)) {
    const Bandwidth bandwidth = ProbeBandwidth(kernels, bytes, roofs.num_threads, cores, budget / 4);
    if (bandwidth.bytes_per_s > 0) roofs.read_rates[bytes] = bandwidth.bytes_per_s;
    if (bandwidth.bytes_per_s <= roofs.read_bandwidth_bytes_per_s) continue;
    roofs.read_bandwidth_bytes_per_s = bandwidth.bytes_per_s;
    roofs.huge_page_ratio = bandwidth.huge_page_ratio;
  }

  constexpr int64_t kRounds = 20000;
  const auto rate_of = [&](const Pass& pass, Duration part) {
    return BestWindow(pass, roofs.num_threads, cores, part);
  };
  roofs.int8_mac_per_s = rate_of(
      [&](int) {
        int32_t sink[2] = {0x01020304, 0x03020101};
        return static_cast<double>(kernels.probe_int8(kRounds, sink));
      },
      budget / 4);
  const auto float_pass = [&](int64_t (*run)(int64_t, float*)) {
    return [run](int) {
      float sink[2] = {0.5f, 0.25f};
      return static_cast<double>(run(kRounds, sink));
    };
  };
  roofs.fp32_mac_per_s = rate_of(float_pass(kernels.probe_fp32), budget / 8);
  if (const Bf16Probe* bf16 = FindBf16Probe(); bf16 != nullptr)
    roofs.bf16_mac_per_s = rate_of(float_pass(bf16->run), budget / 8);
  if (kernels.prompts != nullptr && kernels.prompts->probe != nullptr)
    roofs.tile_mac_per_s = rate_of(float_pass(kernels.prompts->probe), budget / 8);
  return roofs;
}

}  // namespace weir
