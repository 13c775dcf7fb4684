#include "engine/memory_plan.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "engine/kvcache/block_pool.h"

namespace weir {
namespace {

// Block ids are 32 bits, and so are the tables that hold them.
constexpr int64_t kMaxBlocks = int64_t{1} << 27;

int64_t ReadNumber(const char* path) {
  std::ifstream in(path);
  int64_t value = 0;
  return in >> value ? value : 0;  // "max" and a missing file mean no limit
}

double Mib(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

MachineMemory ReadMachineMemory(int64_t limit_bytes) {
  MachineMemory memory;
  std::ifstream in("/proc/meminfo");
  std::string key;
  std::string unit;
  for (int64_t kib = 0; in >> key >> kib; std::getline(in, unit)) {
    if (key == "MemTotal:") memory.total_bytes = kib * 1024;
    if (key == "MemAvailable:") memory.available_bytes = kib * 1024;
  }
  for (const auto& [limit_path, used_path] :
       {std::pair("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        std::pair("/sys/fs/cgroup/memory/memory.limit_in_bytes",
                  "/sys/fs/cgroup/memory/memory.usage_in_bytes")}) {
    const int64_t limit = ReadNumber(limit_path);
    if (limit <= 0 || limit >= memory.total_bytes) continue;
    memory.total_bytes = limit;
    memory.available_bytes = std::min(memory.available_bytes, limit - ReadNumber(used_path));
  }
  if (limit_bytes > 0 && limit_bytes < memory.total_bytes) {
    memory.total_bytes = limit_bytes;
    memory.available_bytes = std::clamp<int64_t>(limit_bytes - ReadOwnMemory(), 0, memory.available_bytes);
  }
  return memory;
}

int64_t ReadOwnMemory() {
  std::ifstream in("/proc/self/statm");
  int64_t total = 0, resident = 0, of_files = 0;
  in >> total >> resident >> of_files;
  return (resident - of_files) * sysconf(_SC_PAGESIZE);
}

namespace {

int SequencesOf(int num_threads) {
  constexpr int kPerThread = 16;
  constexpr int kLeast = 32;
  constexpr int kMost = 256;
  return std::clamp(kPerThread * num_threads, kLeast, kMost);
}

// In KV cache, of the length that is usual at most.
int64_t SequencesWithRoom(const SequenceRoom& room) {
  constexpr int64_t kUsualTokens = 2048;
  if (room.bytes_per_sequence <= 0 || room.tokens_per_context <= 0) return 1;
  const double share =
      std::min(1.0, static_cast<double>(kUsualTokens) / static_cast<double>(room.tokens_per_context));
  return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(room.budget_bytes) /
                                                   (share * static_cast<double>(room.bytes_per_sequence))));
}

}  // namespace

int AutoMaxNumSeqs(const SequenceRoom& room, int num_threads) {
  return static_cast<int>(std::min<int64_t>(SequencesOf(num_threads), SequencesWithRoom(room)));
}

std::string DescribeAutoMaxNumSeqs(const SequenceRoom& room, int num_threads) {
  const int chosen = AutoMaxNumSeqs(room, num_threads);
  return chosen < SequencesOf(num_threads)
             ? fmt::format("{}, for which there is KV cache", chosen)
             : fmt::format("{}, by {} thread{}", chosen, num_threads, num_threads == 1 ? "" : "s");
}

int64_t BudgetBeside(int64_t weight_bytes, const MachineMemory& memory, double memory_utilization) {
  const auto share = [&](int64_t bytes) {
    return static_cast<int64_t>(memory_utilization * static_cast<double>(bytes));
  };
  // Loading takes the weights from what is available now, and the plan after it offers a share of the rest.
  return std::max<int64_t>(
      0, std::min(share(memory.total_bytes) - weight_bytes, share(memory.available_bytes - weight_bytes)));
}

Result<int> PlanKvBlocks(const MachineMemory& memory, const KvDemand& demand) {
  if (demand.requested_bytes > 0) {
    const int64_t blocks = std::min(kMaxBlocks, demand.requested_bytes / demand.bytes_per_block);
    if (blocks > 0) return static_cast<int>(blocks);
    return InvalidArgument(
        fmt::format("a KV cache of {} bytes holds no block of {} tokens, which takes {} bytes; ask for "
                    "more or leave it out",
                    demand.requested_bytes, kBlockSize, demand.bytes_per_block));
  }
  const double share = demand.memory_utilization;
  const int64_t budget =
      std::min(static_cast<int64_t>(share * static_cast<double>(memory.total_bytes)) - demand.model_bytes,
               static_cast<int64_t>(share * static_cast<double>(memory.available_bytes))) -
      demand.mapped_bytes;
  const int64_t per_context = BlocksFor(demand.tokens_per_context);
  const int64_t wanted = std::min(kMaxBlocks, per_context * demand.max_num_seqs);
  const int64_t blocks = std::min(wanted, budget / demand.bytes_per_block);
  if (blocks >= per_context) return static_cast<int>(blocks);
  return ResourceExhausted(fmt::format(
      "one context of {} tokens needs {:.0f} MiB of KV cache, but {:.0f} MiB are left for it: {:.0f} MiB of "
      "memory, {:.0f} "
      "available, weights and scratch take {:.0f}, and --memory-utilization is {:.2f}; lower --max-model-len "
      "or use a "
      "smaller model",
      demand.tokens_per_context, Mib(per_context * demand.bytes_per_block), Mib(std::max<int64_t>(0, budget)),
      Mib(memory.total_bytes), Mib(memory.available_bytes), Mib(demand.model_bytes + demand.mapped_bytes),
      share));
}

}  // namespace weir
