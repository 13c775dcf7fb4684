#include "cli/machine_facts.h"

#include <sched.h>
#include <sys/resource.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

#include "engine/kernels/kernels.h"
#include "perf/recorder/environment.h"

namespace weir {
namespace {

std::string FirstLine(const char* path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

// Those that a kernel could use, in the kernel's spelling.
std::vector<std::string> CpuFlags() {
  constexpr std::string_view kWanted[] = {"avx2",        "fma",      "f16c",        "avx512f",
                                          "avx512bw",    "avx512vl", "avx512_vnni", "avx_vnni",
                                          "avx512_bf16", "amx_int8", "amx_bf16",    "asimddp"};
  std::ifstream in("/proc/cpuinfo");
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    for (std::string word; words >> word;) {
      for (const std::string_view wanted : kWanted) {
        if (word == wanted) out.push_back(word);
      }
    }
    break;  // the cores of one machine are alike
  }
  return out;
}

int UsableCores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  return sched_getaffinity(0, sizeof(mask), &mask) == 0 ? CPU_COUNT(&mask) : 0;
}

void AddKernels(MachineFacts* out) {
  for (const std::string_view path : KnownKernelPaths()) {
    if (CpuSupports(path)) out->kernel_paths.emplace_back(path);
  }
  if (const char* forced = std::getenv("WEIR_ISA")) out->forced_path = forced;
  const auto chosen = SelectKernels("");
  if (chosen.has_value()) {
    out->chosen_path = (*chosen)->name;
  } else {
    out->kernel_error = chosen.error().message();
  }
}

}  // namespace

std::string BracketedWord(const std::string& line) {
  const size_t open = line.find('[');
  const size_t close = line.find(']');
  if (open == std::string::npos || close == std::string::npos || close < open) return "";
  return line.substr(open + 1, close - open - 1);
}

double ParseCpuQuota(const std::string& line) {
  std::istringstream words(line);
  double quota = 0;
  double period = 0;
  return words >> quota >> period && quota > 0 && period > 0 ? quota / period : 0;
}

MachineFacts CollectMachineFacts() {
  MachineFacts out;
  const Environment environment = CaptureEnvironment("", 0);
  out.cpu_model = environment.cpu_model;
  out.virtualization = environment.virtualization;
  out.os = environment.os;
  out.physical_cores = environment.physical_cores;
  out.logical_cores = environment.logical_cores;
  out.governor = environment.governor;
  out.usable_cores = UsableCores();
  out.cpu_quota = ParseCpuQuota(FirstLine("/sys/fs/cgroup/cpu.max"));
  std::istringstream load(FirstLine("/proc/loadavg"));
  if (!(load >> out.load_average)) out.load_average = -1;
  out.cpu_flags = CpuFlags();
  AddKernels(&out);
  out.huge_page_mode = BracketedWord(FirstLine("/sys/kernel/mm/transparent_hugepage/enabled"));
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) out.open_file_limit = static_cast<int64_t>(limit.rlim_cur);
  out.memory = ReadMachineMemory();
  return out;
}

}  // namespace weir
