// How fast each pair of a head rotates: the base and the ways in which models stretch it over longer contexts.
//
// Units     frequencies in radians per position
// Errors    Read: DATA_LOSS for numbers that make no frequencies · UNIMPLEMENTED for a scaling that weir lacks
// Threads   values and pure functions
// Source    docs/FORMATS.md, "Rotary positions"
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/gguf/model_file.h"

namespace weir {

enum class RopeScaling {
  kNone,
  kLinear,  // all frequencies divided by `factor`
  kYarn,    // slow pairs divided, fast ones not, a ramp between
  kLlama3,  // the same by wavelength
};

struct RopeSpec {
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;
  double original_context = 0;                 // of the training before the stretch
  double attention_factor = 1.0;               // on cosines and sines
  double fast = 32.0, slow = 1.0;              // kYarn: turns within original_context at the ends of the ramp
  double low_factor = 1.0, high_factor = 4.0;  // kLlama3: the same, as shares of the original context's turns
};

// The keys rope.freq_base and rope.scaling.*, which begin with `prefix`.
Result<RopeSpec> ReadRopeSpec(const ModelFile& file, const std::string& prefix);

// dims / 2 frequencies. `divisors`: the file's own, one per pair; empty: none.
std::vector<double> RopeFrequencies(const RopeSpec& spec, int dims, std::span<const float> divisors);

}  // namespace weir
