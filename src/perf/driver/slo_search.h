// The highest load that a server carries within its bounds: doubling, bisection, confirmation.
//
// Errors    those of the probe
// Threads   the caller's; blocks as long as the probes take
// Source    docs/MEASUREMENT.md, "Search"
#pragma once

#include <functional>
#include <vector>

#include "base/result.h"

namespace weir {

struct SearchSpec {
  double first = 1;         // where to begin
  double highest = 4096;    // where to stop
  bool whole = true;        // levels are whole numbers
  double resolution = 1.1;  // ends when the level that fails is no more than this times the one that passes
  int confirmations = 3;    // repeats that must all pass
};

struct SearchProbe {
  double level = 0;
  bool passed = false;
  bool is_confirmation = false;
};

struct SearchOutcome {
  double answer = 0;  // 0: even the lowest level failed
  bool confirmed = false;
  bool at_highest = false;  // the highest level that was tried still passed
  std::vector<SearchProbe> probes;
};

// `probe` says whether the level keeps the bounds.
Result<SearchOutcome> FindHighest(const SearchSpec& spec,
                                  const std::function<Result<bool>(double level)>& probe);

}  // namespace weir
