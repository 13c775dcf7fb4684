#include "perf/recorder/machine_activity.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>

namespace weir {
namespace {

void ReadStat(MachineActivity* out) {
  std::ifstream file("/proc/stat");
  std::string name;
  // user nice system idle iowait irq softirq steal; guests are inside user and nice.
  double ticks[8] = {};
  if (!(file >> name) || name != "cpu") return;
  for (double& one : ticks) {
    if (!(file >> one)) return;
  }
  const double per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  double total = 0;
  for (const double one : ticks) total += one / per_second;
  out->total_s = total;
  out->stolen_s = ticks[7] / per_second;
  out->busy_s = total - (ticks[3] + ticks[4] + ticks[7]) / per_second;
}

void ReadSwap(MachineActivity* out) {
  std::ifstream file("/proc/vmstat");
  std::string name;
  double value = 0;
  while (file >> name >> value) {
    if (name == "pswpin" || name == "pswpout") out->swapped_pages = out->swapped_pages.value_or(0) + value;
  }
}

void ReadFrequency(MachineActivity* out) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("cpu MHz")) continue;
    std::istringstream text(line.substr(line.find(':') + 1));
    double mhz = 0;
    if (!(text >> mhz)) continue;
    out->max_mhz = std::max(out->max_mhz.value_or(0), mhz);
  }
}

}  // namespace

MachineActivity ReadMachineActivity() {
  MachineActivity out;
  out.at = MonotonicClock::Get().Now();
  ReadStat(&out);
  ReadSwap(&out);
  ReadFrequency(&out);
  timespec own{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
  out.own_s = static_cast<double>(own.tv_sec) + static_cast<double>(own.tv_nsec) * 1e-9;
  return out;
}

}  // namespace weir
