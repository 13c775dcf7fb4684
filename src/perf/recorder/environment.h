// What a number was measured on: machine, build and model, as stored in every result file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace weir {

// Measured limits of the machine, before and after a run. Zero: not measured, or the machine lacks it.
struct MachineLimits {
  double read_bandwidth_bytes_per_s = 0;
  double int8_mac_per_s = 0;
  double bf16_mac_per_s = 0;
  double fp32_mac_per_s = 0;
};

struct Environment {
  std::string os, kernel, cpu_model, isa, virtualization, governor, instance;
  int physical_cores = 0, logical_cores = 0, threads = 0;
  int64_t memory_bytes = 0;
  std::optional<MachineLimits> probed_before, probed_after;
};

// Reads /proc and /sys; what cannot be read stays empty and becomes null in JSON.
Environment CaptureEnvironment(std::string isa, int threads);
Json ToJson(const Environment& environment);
// {"name": "weir", version, commit, compiler, build_type}
Json ToolJson();
// Fields common to all result files: schema_version, kind, run_id, created_at, command, tool.
Json NewDocument(const std::string& kind, const std::vector<std::string>& command);
std::string NewRunId();

}  // namespace weir
