// What of a side's documents is compared: metrics and their value in every run.
//
// Threads   pure functions
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "perf/report/comparison.h"

namespace weir {

struct ComparedMetric {
  std::string name;  // "batch 8: output_tps_steady"
  std::string_view formula;
  std::string_view unit;
  bool higher_is_better = true;
  bool is_share = false;  // compared by difference, not by ratio
  std::vector<double> values;
  int num_void = 0;  // runs whose verdict voids it
};

// In the order of the documents' rows.
std::vector<ComparedMetric> MetricsOf(const ComparisonSide& side);

}  // namespace weir
