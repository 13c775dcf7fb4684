#include "perf/workload/arrivals.h"

#include <cmath>

#include "base/rng.h"

namespace weir {
namespace {

// The time at which an arrival process of unit rate, warped by the ramp, has reached `events` expected arrivals.
double TimeOfEvents(const ArrivalSpec& spec, double events) {
  const double in_ramp = spec.rate_per_s * spec.ramp_up_s / 2;
  if (spec.ramp_up_s > 0 && events < in_ramp) {
    return std::sqrt(2 * events * spec.ramp_up_s / spec.rate_per_s);
  }
  return spec.ramp_up_s + (events - in_ramp) / spec.rate_per_s;
}

}  // namespace

std::string_view ArrivalProcessName(ArrivalProcess process) {
  switch (process) {
    case ArrivalProcess::kPoisson:
      return "poisson";
    case ArrivalProcess::kConstant:
      return "constant";
    case ArrivalProcess::kGamma:
      return "gamma";
  }
  return "";
}

std::vector<double> DrawArrivals(const ArrivalSpec& spec, int count, double duration_s) {
  std::vector<double> times;
  Rng rng(spec.seed);
  double events = 0;
  for (int i = 0; i < count; ++i) {
    switch (spec.process) {
      case ArrivalProcess::kConstant:
        events = i;
        break;
      case ArrivalProcess::kPoisson:
        events += rng.NextExponential();
        break;
      case ArrivalProcess::kGamma:
        events += rng.NextGamma(spec.burstiness);
        break;
    }
    const double at = spec.process == ArrivalProcess::kConstant && spec.ramp_up_s == 0
                          ? i / spec.rate_per_s  // exactly, without the rounding of a sum
                          : TimeOfEvents(spec, events);
    if (duration_s > 0 && at >= duration_s) break;
    times.push_back(at);
  }
  return times;
}

}  // namespace weir
