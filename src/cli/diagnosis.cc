#include "cli/diagnosis.h"

#include <fmt/format.h>

#include <algorithm>

#include "perf/report/number_format.h"

namespace weir {
namespace {

constexpr double kMemoryShare = 0.9;             // what the engine offers to weights and KV cache
constexpr double kCacheAndScratchBytes = 0.5e9;  // one context of a small model, buffers, the program
constexpr int64_t kWantedOpenFiles = 1024;       // a load test opens some hundreds of connections

std::string Bytes(int64_t bytes) { return FormatBytes(static_cast<double>(bytes)); }

Finding Cores(const MachineFacts& facts) {
  std::string text = fmt::format("{}, {} cores, {} threads usable ({})",
                                 facts.cpu_model.empty() ? "unknown CPU" : facts.cpu_model,
                                 facts.physical_cores, facts.usable_cores, facts.virtualization);
  if (facts.cpu_quota > 0 && facts.cpu_quota < facts.usable_cores) {
    return {
        FindingLevel::kHint, "CPU",
        fmt::format("{}, but the control group allows {:.2f} cores", text, facts.cpu_quota),
        fmt::format("run with --threads {} or raise the limit: threads that are throttled stall all others",
                    std::max(1, static_cast<int>(facts.cpu_quota)))};
  }
  if (facts.usable_cores < facts.logical_cores) {
    return {FindingLevel::kHint, "CPU", fmt::format("{} of {}", text, facts.logical_cores),
            "the affinity mask leaves cores out; start without taskset or cpuset to use them all"};
  }
  return {FindingLevel::kOk, "CPU", text, ""};
}

Finding Instructions(const MachineFacts& facts) {
  if (facts.cpu_flags.empty()) {
    return {FindingLevel::kHint, "instructions", "none of those that fast kernels use",
            "expect the generic path; a CPU with AVX2 is several times faster"};
  }
  return {FindingLevel::kOk, "instructions", fmt::format("{}", fmt::join(facts.cpu_flags, " ")), ""};
}

Finding Kernels(const MachineFacts& facts) {
  if (facts.chosen_path.empty()) {
    return {FindingLevel::kProblem, "kernels", facts.kernel_error,
            "unset WEIR_ISA or set it to a path this CPU has"};
  }
  const std::string fastest = facts.kernel_paths.empty() ? facts.chosen_path : facts.kernel_paths.back();
  if (facts.chosen_path != fastest) {
    return {FindingLevel::kHint, "kernels",
            fmt::format("{}, though this CPU can run {}", facts.chosen_path, fastest),
            facts.forced_path.empty() ? "" : "unset WEIR_ISA unless the slower path is wanted"};
  }
  return {FindingLevel::kOk, "kernels",
          fmt::format("{}, the fastest of {}", facts.chosen_path, fmt::join(facts.kernel_paths, ", ")), ""};
}

Finding Memory(const MachineFacts& facts) {
  const std::string text =
      fmt::format("{} available of {}", Bytes(facts.memory.available_bytes), Bytes(facts.memory.total_bytes));
  if (static_cast<double>(facts.memory.available_bytes) * kMemoryShare < kCacheAndScratchBytes) {
    return {FindingLevel::kProblem, "memory", text,
            "too little for any model: free memory or take a larger machine"};
  }
  return {FindingLevel::kOk, "memory", text, ""};
}

Finding HugePages(const MachineFacts& facts) {
  const char* const how = "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled";
  if (facts.huge_page_mode == "never") {
    return {FindingLevel::kHint, "huge pages", "off: weights are read through small pages, which is slower",
            how};
  }
  if (facts.huge_page_mode.empty()) {
    return {FindingLevel::kHint, "huge pages", "unknown: the system does not say", ""};
  }
  if (!facts.roofs) return {FindingLevel::kOk, "huge pages", facts.huge_page_mode, ""};
  const std::string text = fmt::format("{}; {} of the probe's memory got them", facts.huge_page_mode,
                                       FormatPercent(facts.roofs->huge_page_ratio));
  if (facts.roofs->huge_page_ratio < 0.9) {
    return {FindingLevel::kHint, "huge pages", text,
            "memory is fragmented: echo 1 | sudo tee /proc/sys/vm/compact_memory, or restart the machine"};
  }
  return {FindingLevel::kOk, "huge pages", text, ""};
}

Finding Load(const MachineFacts& facts) {
  if (facts.load_average < 0) return {FindingLevel::kHint, "other load", "unknown", ""};
  const std::string text = fmt::format("{:.2f} busy on average in the last minute", facts.load_average);
  if (facts.load_average > 0.25 * facts.usable_cores) {
    return {FindingLevel::kHint, "other load", text,
            "stop other programs before measuring: results would vary"};
  }
  return {FindingLevel::kOk, "other load", text, ""};
}

Finding Model(const MachineFacts& facts) {
  if (!facts.model_error.empty()) {
    // Without a path nothing was found, and the message itself says what to run.
    return {FindingLevel::kHint, "model", facts.model_error,
            facts.model_path.empty() ? "" : "take another file; tools/get_model.sh fetches the default one"};
  }
  std::string text = fmt::format("{}, {} of weights", facts.model_path, Bytes(facts.model_weight_bytes));
  if (!facts.model_obstacle.empty()) {
    return {FindingLevel::kProblem, "model", fmt::format("{}: {}", facts.model_path, facts.model_obstacle),
            "take a model of another type"};
  }
  if (static_cast<double>(facts.model_weight_bytes) + kCacheAndScratchBytes >
      kMemoryShare * static_cast<double>(facts.memory.available_bytes)) {
    return {FindingLevel::kProblem, "model", text + ", more than fits memory",
            "take a smaller model or free memory"};
  }
  if (facts.roofs && facts.roofs->read_bandwidth_bytes_per_s > 0 && facts.model_weight_bytes > 0) {
    text += fmt::format("; one sequence decodes at most {} tokens/s (bandwidth / weights)",
                        FormatNumber(facts.roofs->read_bandwidth_bytes_per_s /
                                     static_cast<double>(facts.model_weight_bytes)));
  }
  return {FindingLevel::kOk, "model", text, ""};
}

void AddRoofs(const MachineRoofs& roofs, std::vector<Finding>* out) {
  const auto giga = [](double value) { return fmt::format("{} G", FormatNumber(value / 1e9)); };
  out->push_back({FindingLevel::kOk, "read bandwidth",
                  fmt::format("{} per second with {} threads: the limit of decoding",
                              FormatBytes(roofs.read_bandwidth_bytes_per_s), roofs.num_threads),
                  ""});
  std::string text = fmt::format("int8 {}, fp32 {}", giga(roofs.int8_mac_per_s), giga(roofs.fp32_mac_per_s));
  if (roofs.bf16_mac_per_s > 0) text += fmt::format(", bf16 {}", giga(roofs.bf16_mac_per_s));
  if (roofs.tile_mac_per_s > 0) text += fmt::format(", bf16 on tiles {}", giga(roofs.tile_mac_per_s));
  out->push_back(
      {FindingLevel::kOk, "arithmetic", text + " multiply-adds per second: the limit of prefill", ""});
}

}  // namespace

std::vector<Finding> Diagnose(const MachineFacts& facts) {
  std::vector<Finding> out = {Cores(facts), Instructions(facts), Kernels(facts), Memory(facts),
                              HugePages(facts)};
  if (facts.roofs) AddRoofs(*facts.roofs, &out);
  out.push_back(Load(facts));
  if (facts.governor == "powersave") {
    out.push_back({FindingLevel::kHint, "governor", "powersave: the clock rises late",
                   "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"});
  }
  if (facts.open_file_limit > 0 && facts.open_file_limit < kWantedOpenFiles) {
    out.push_back({FindingLevel::kHint, "open files", fmt::format("at most {}", facts.open_file_limit),
                   fmt::format("ulimit -n {} before serving many clients", kWantedOpenFiles)});
  }
  out.push_back(Model(facts));
  return out;
}

std::vector<ModelFit> FitModels(const MachineFacts& facts) {
  // Q4_1 stores 5 bits a weight and Q8_0 8.5; embeddings are usually kept at Q8_0 in both, hence a little more.
  constexpr double kQ4BytesPerWeight = 0.66;
  constexpr double kQ8BytesPerWeight = 1.0625;
  const double room =
      kMemoryShare * static_cast<double>(facts.memory.available_bytes) - kCacheAndScratchBytes;
  const double bandwidth = facts.roofs ? facts.roofs->read_bandwidth_bytes_per_s : 0;
  std::vector<ModelFit> out;
  for (const double billions : {0.135, 0.36, 1.0, 1.7, 3.0, 8.0, 14.0, 32.0, 70.0}) {
    ModelFit fit;
    fit.billions = billions;
    const double q4 = billions * 1e9 * kQ4BytesPerWeight;
    const double q8 = billions * 1e9 * kQ8BytesPerWeight;
    fit.q4_bytes = static_cast<int64_t>(q4);
    fit.q8_bytes = static_cast<int64_t>(q8);
    fit.q4_fits = q4 <= room;
    fit.q8_fits = q8 <= room;
    fit.q4_tokens_per_s = bandwidth / q4;
    fit.q8_tokens_per_s = bandwidth / q8;
    out.push_back(fit);
  }
  return out;
}

}  // namespace weir
