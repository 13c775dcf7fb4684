// What several other tools compute alike: means, deviations and percentiles as NumPy has them.
//
// Threads   pure functions
#pragma once

#include <span>
#include <vector>

#include "base/json.h"
#include "perf/recorder/request_record.h"

namespace weir {

// Mean, population deviation and interpolated percentiles; all of them 0 for no values, as NumPy's callers there do.
struct NumpySummary {
  explicit NumpySummary(std::vector<double> values);
  double At(double percentile) const;

  double mean = 0, deviation = 0;
  std::vector<double> sorted;
};

// Most requests at once, from the records.
int MostInFlight(std::span<const RequestRecord> records);
// Requests of the first stage that ended by themselves, in the order of sending.
std::vector<const RequestRecord*> EndedOfFirstStage(std::span<const RequestRecord> records);

}  // namespace weir
