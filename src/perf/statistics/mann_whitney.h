// Are two sets of runs different, and by how much: tests that ask nothing about the shape of the noise.
//
// Threads   pure functions
// Source    Mann and Whitney 1947; Hodges and Lehmann 1963; Holm 1979; docs/MEASUREMENT.md, "Comparison"
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "perf/statistics/distribution.h"

namespace weir {

// Two-sided p of the Mann-Whitney U test. Exact, ties included (the distribution over all ways to deal the observed
// ranks out), while both sides together have at most 100 values; beyond that the normal approximation with tie
// correction. 1 when a side is empty.
double MannWhitneyP(std::span<const double> a, std::span<const double> b);

// Median of all differences b - a, and the interval of differences that the test at 5 % does not reject. The interval is
// absent when so few values cannot reject anything.
struct Shift {
  double median = 0;
  std::optional<Interval> interval95;
};
// Empty when a side is empty.
std::optional<Shift> HodgesLehmannShift(std::span<const double> a, std::span<const double> b);

// Corrects the p of tests that are judged together; the order is kept.
std::vector<double> HolmCorrect(std::span<const double> p);

}  // namespace weir
