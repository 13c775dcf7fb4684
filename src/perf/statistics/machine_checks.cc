#include "perf/statistics/machine_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace weir {
namespace {

constexpr double kShortestSpanS = 1.0;
constexpr double kSustainedPagesPerS = 256;  // 1 MB/s of 4 kB pages

std::optional<double> Change(const std::optional<double>& before, const std::optional<double>& after) {
  if (!before || !after) return std::nullopt;
  return *after - *before;
}

// Seconds that other processes computed.
std::optional<double> ForeignCpu(const MachineActivity& before, const MachineActivity& after,
                                 std::optional<double> server_cpu_s) {
  const auto busy = Change(before.busy_s, after.busy_s);
  if (!busy || !server_cpu_s) return std::nullopt;
  return std::max(0.0, *busy - (after.own_s - before.own_s) - *server_cpu_s);
}

Json OrNull(const std::optional<double>& number) { return number ? Json(*number) : Json(nullptr); }

}  // namespace

Json MachineJson(const MachineActivity& before, const MachineActivity& after,
                 std::optional<double> server_cpu_s) {
  return {{"elapsed_s", ToSeconds(after.at - before.at)},
          {"stolen_s", OrNull(Change(before.stolen_s, after.stolen_s))},
          {"foreign_cpu_s", OrNull(ForeignCpu(before, after, server_cpu_s))}};
}

void CheckMachine(const MachineActivity& before, const MachineActivity& after,
                  std::optional<double> server_cpu_s, Validity* validity) {
  const double elapsed = ToSeconds(after.at - before.at);
  if (elapsed < kShortestSpanS) return;
  const auto total = Change(before.total_s, after.total_s);
  const auto stolen = Change(before.stolen_s, after.stolen_s);
  if (total && *total > 0 && stolen) {
    validity->AddAbove(
        "V-13", "run", *stolen / *total, 0.02, 0.20,
        fmt::format("steal: the host took {:.1f} % of the cores' time, limit 20 %", *stolen / *total * 100));
  }
  const auto strangers = ForeignCpu(before, after, server_cpu_s);
  if (total && *total > 0 && strangers) {
    const double foreign = *strangers / *total;
    validity->AddAbove("V-13", "run", foreign, 0.05, 0.30,
                       fmt::format("strangers: other processes used {:.0f} % of the cores' time, limit 30 %",
                                   foreign * 100));
  }
  if (const auto pages = Change(before.swapped_pages, after.swapped_pages)) {
    validity->AddAbove("V-13", "run", *pages / elapsed, 0, kSustainedPagesPerS,
                       fmt::format("swapping: {:.0f} pages/s in and out, limit {:.0f}", *pages / elapsed,
                                   kSustainedPagesPerS));
  }
  if (before.max_mhz && after.max_mhz && *before.max_mhz > 0) {
    const double change =
        std::fabs(*after.max_mhz - *before.max_mhz) / std::max(*before.max_mhz, *after.max_mhz);
    validity->AddAbove("V-13", "run", change, 0.05, 0.15,
                       fmt::format("frequency: {:.0f} MHz before and {:.0f} MHz after, limit 15 % apart",
                                   *before.max_mhz, *after.max_mhz));
  }
}

}  // namespace weir
