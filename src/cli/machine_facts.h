// What `weir doctor` looks at: the machine as /proc and /sys describe it, and as the probe measured it.
//
// Units     bytes, per second
// Errors    none: what cannot be read stays empty or 0 and is reported as unknown
// Threads   ProbeMachine's, while it measures
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/machine.h"
#include "engine/memory_plan.h"

namespace weir {

struct MachineFacts {
  std::string cpu_model;
  std::string virtualization;
  std::string os;
  int physical_cores = 0;
  int logical_cores = 0;
  int usable_cores = 0;      // of the affinity mask
  double cpu_quota = 0;      // cores that the control group allows; 0: no limit
  std::string governor;      // empty: the system does not say
  double load_average = -1;  // of the last minute; -1: unknown
  std::vector<std::string> cpu_flags;
  std::vector<std::string> kernel_paths;  // those this CPU can run, slowest first
  std::string forced_path;                // $WEIR_ISA
  std::string chosen_path;                // empty: no choice possible, kernel_error says why
  std::string kernel_error;
  std::string huge_page_mode;  // "always", "madvise", "never"; empty: unknown
  int64_t open_file_limit = 0;
  MachineMemory memory;
  std::optional<MachineRoofs> roofs;  // none with --quick

  std::string model_path;   // empty: none found
  std::string model_error;  // why the model cannot be read
  int64_t model_weight_bytes = 0;
  std::string model_obstacle;
};

// Everything but `roofs` and the model.
MachineFacts CollectMachineFacts();
// The bracketed word of "always [madvise] never".
std::string BracketedWord(const std::string& line);
// "max 100000" -> 0, "150000 100000" -> 1.5
double ParseCpuQuota(const std::string& line);

}  // namespace weir
