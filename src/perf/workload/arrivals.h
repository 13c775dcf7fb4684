// When requests are meant to be sent: drawn before the run from one seed, as absolute times.
//
// Units     seconds from the run's start
// Requires  rate_per_s > 0, burstiness > 0
// Source    docs/MEASUREMENT.md, "Load test"
//
// Times are the running sum of the raw draws; nothing rescales them to a round total, because that would change the process.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace weir {

enum class ArrivalProcess { kPoisson, kConstant, kGamma };
std::string_view ArrivalProcessName(ArrivalProcess process);  // "poisson"

struct ArrivalSpec {
  ArrivalProcess process = ArrivalProcess::kPoisson;
  double rate_per_s = 1.0;
  double burstiness = 1.0;  // shape of the gamma distribution of gaps; 1 is Poisson, below 1 comes in bursts
  double ramp_up_s = 0;     // the rate grows linearly from 0 over this time
  uint64_t seed = 1;
};

// `count` arrivals, fewer when `duration_s` > 0 ends first.
std::vector<double> DrawArrivals(const ArrivalSpec& spec, int count, double duration_s);

}  // namespace weir
