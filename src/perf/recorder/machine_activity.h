// What all processes of the machine have used so far: read before and after a measurement, the difference says who else
// was at work.
//
// Units     seconds of CPU over all cores; pages; MHz. What the system does not say stays empty
// Threads   any
// Source    proc(5): /proc/stat, /proc/vmstat, /proc/cpuinfo
#pragma once

#include <optional>

#include "base/clock.h"

namespace weir {

struct MachineActivity {
  TimePoint at{};
  std::optional<double> total_s, busy_s,
      stolen_s;                         // of all cores; stolen: ready to run while the host ran others
  double own_s = 0;                     // of this process
  std::optional<double> swapped_pages;  // in and out, since the start of the system
  std::optional<double> max_mhz;        // of the fastest core, now: idle ones may be clocked down
};

MachineActivity ReadMachineActivity();

}  // namespace weir
