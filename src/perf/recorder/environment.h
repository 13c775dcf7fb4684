// What a number was measured on: machine, build and model, as stored in every result file.
#pragma once

#include <cstdint>
#include <map>
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
  double tile_mac_per_s = 0;               // bf16 on tiles, where prompts are computed by them
  std::map<int64_t, double> read_rates{};  // bytes read again and again -> bytes per second

  // The better of both counts: noise only ever takes away.
  void Improve(const MachineLimits& other);
};

struct Environment {
  std::string os, kernel, cpu_model, isa, virtualization, governor, instance;
  int physical_cores = 0, logical_cores = 0, threads = 0;
  int64_t memory_bytes = 0;
  std::optional<double> load_average;     // of the last minute, when it was captured
  std::optional<double> huge_page_ratio;  // of this process's anonymous memory, while it measured
  std::optional<double> stolen_ratio;     // of the cores' time, taken by the host meanwhile
  std::optional<MachineLimits> probed_before, probed_after;
};

// Of all cores since the system started, in its ticks.
struct CpuTime {
  double total = 0;
  double stolen = 0;
};
CpuTime ReadCpuTime();
std::optional<double> StolenRatio(const CpuTime& before, const CpuTime& after);
// Share of this process's anonymous memory that lies in huge pages; empty when the system does not say.
std::optional<double> HugePageRatio();

// Reads /proc and /sys; what cannot be read stays empty and becomes null in JSON.
Environment CaptureEnvironment(std::string isa, int threads);
Json ToJson(const Environment& environment);
// {"name": "weir", version, commit, compiler, build_type}
Json ToolJson();
// Fields common to all result files: schema_version, kind, run_id, created_at, command, tool.
Json NewDocument(const std::string& kind, const std::vector<std::string>& command);
std::string NewRunId();

}  // namespace weir
