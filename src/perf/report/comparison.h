// Two sides of result files, one verdict: is B worse than A by more than the noise and more than matters?
//
// Requires  documents that were read as result files of this program (kind benchmark or load_test, schema 1.x)
// Errors    CompareSides: INVALID_ARGUMENT when the sides measured different things: kind, model, parameters, machine
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Comparison"
//
// The run is the unit: a value per result file, or per repeat when a side is one benchmark file.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace weir {

struct ComparisonSide {
  std::string name;
  std::vector<Json> documents;
};

struct ComparisonOptions {
  double min_effect_ratio = 0.03;
  bool force = false;   // compare although the sides are not comparable
  bool strict = false;  // inconclusive also while a loss beyond the minimum effect is not excluded
};

// {sides, metrics[], verdict: "worse" | "not worse" | "inconclusive" | "invalid", reason}; a metric has {metric formula
// unit better a_values[] b_values[] a_median b_median shift shift_ci95 p p_corrected verdict largest_loss}. Shifts are
// ratios of A's median, for ratios differences. What could not be compared is null with its reason.
Result<Json> CompareSides(const ComparisonSide& a, const ComparisonSide& b, const ComparisonOptions& options);

// Why the two documents do not measure the same, one line per difference; empty when they do.
std::vector<std::string> DifferencesOf(const Json& a, const Json& b);

}  // namespace weir
