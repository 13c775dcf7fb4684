// What this machine can do at best: the limits ("roofs") that stand beside every measured number.
//
// Units     bytes per second, multiply-accumulates per second
// Requires  nothing else running; takes about `budget`, and a quarter of it more for each size of read_rates beyond two
// Owns      its buffers for the length of the call
// Threads   starts its own, pinned one per core
// Source    docs/MEASUREMENT.md, "Physical limit"
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"

namespace weir {

struct MachineRoofs {
  double read_bandwidth_bytes_per_s = 0;  // huge pages; the largest of read_rates
  // Bytes that are read again and again -> bytes per second. Caches serve some sizes and not others, and how much of a shared
  // one a virtual machine gets, no one says: so it is measured from the weights' size to that of the largest step, and beyond
  // every cache.
  std::map<int64_t, double> read_rates;
  double int8_mac_per_s = 0;  // with the instructions of the kernel path in use
  double bf16_mac_per_s = 0;  // 0: the CPU has no bf16 dot
  double fp32_mac_per_s = 0;
  double tile_mac_per_s = 0;   // bf16 on tiles; 0: the kernel path computes prompts without them
  double huge_page_ratio = 0;  // of the probe's buffer
  int num_threads = 0;
};

inline constexpr Duration kProbeBudget = std::chrono::milliseconds(600);

// `step_bytes`: what the largest step reads, weights included. `isa`: the kernel path, as in ModelOptions.
MachineRoofs ProbeMachine(int num_threads, int64_t weight_bytes, int64_t step_bytes = 0,
                          Duration budget = kProbeBudget, const std::string& isa = "");

}  // namespace weir
