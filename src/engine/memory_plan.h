// How many KV blocks this machine can hold beside the weights.
//
// Units     bytes
// Errors    RESOURCE_EXHAUSTED when one full context does not fit; the message names every number and the flags
// Threads   pure, but for ReadMachineMemory(), which reads /proc and the control group
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace weir {

struct MachineMemory {
  int64_t total_bytes = 0;      // of the machine or the control group, whichever is less
  int64_t available_bytes = 0;  // without swapping, now
};

// With a limit above 0 no more than that, of which this process has used some already.
MachineMemory ReadMachineMemory(int64_t limit_bytes = 0);
// Of this process, resident, but for pages of files, which the system can take back.
int64_t ReadOwnMemory();

struct KvDemand {
  int64_t bytes_per_block = 0;
  int64_t tokens_per_context = 0;
  int max_num_seqs = 0;
  int64_t model_bytes = 0;   // already taken
  int64_t mapped_bytes = 0;  // of a file that should stay in memory, though the system counts it as available
  int64_t requested_bytes = 0;  // 0: automatic
  double memory_utilization = 0.9;
};

// The same question before anything is loaded.
struct SequenceRoom {
  int64_t budget_bytes = 0;        // for KV cache and logits, beside weights that are not in memory yet
  int64_t bytes_per_sequence = 0;  // of a full context
  int64_t tokens_per_context = 0;
  int max_num_seqs = 0;  // the engine's own bound
  int64_t sequences_that_fit() const {
    return bytes_per_sequence > 0 ? budget_bytes / bytes_per_sequence : 0;
  }
};

// Sequences in one step unless the operator says otherwise: 16 for each computing thread, 32 to 256, because a step of that
// many tokens still costs little more than the sweep over the weights that every step pays; and no more than find KV cache
// for 2,048 tokens each, or for a whole context where that is less.
int AutoMaxNumSeqs(const SequenceRoom& room, int num_threads);
// The number above and why it is that, for people.
std::string DescribeAutoMaxNumSeqs(const SequenceRoom& room, int num_threads);

// What the share `memory_utilization` leaves beside weights of that size; never below zero.
int64_t BudgetBeside(int64_t weight_bytes, const MachineMemory& memory, double memory_utilization);

Result<int> PlanKvBlocks(const MachineMemory& memory, const KvDemand& demand);

}  // namespace weir
