// The kernels' results in double, computed the plain way.
//
// Owns      nothing
// Threads   pure functions
//
// Linked into tests and micro-benchmarks only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace weir::reference {

// A row as the quantized products see it.
struct QuantizedRow {
  std::vector<int> codes;
  std::vector<float> scales;  // per 32
  std::vector<int> sums;      // per 32
};
QuantizedRow Quantize(std::span<const float> x);

// Sum and sum of magnitudes, by which tolerances are stated.
struct Dot {
  double sum = 0;
  double magnitude = 0;
};
Dot DotProduct(std::span<const float> w, std::span<const float> x);
Dot DotProduct(std::span<const float> w, const QuantizedRow& x);
// What quantizing x may cost: half a step of every block times the block's weights.
double QuantizationError(std::span<const float> w, const QuantizedRow& x);

std::vector<double> RmsNorm(std::span<const float> x, std::span<const float> weight, double epsilon);
double SiluMultiply(double gate, double up);
// Pairs (2i, 2i+1) of one head at a position.
std::vector<double> Rope(std::span<const float> x, int position, double theta);

// By its tanh form.
double GeluMultiply(double gate, double up);
// Pairs (i, i + n/2).
std::vector<double> RopeHalves(std::span<const float> x, int position, double theta);

// One query over keys and values [num_keys][head_dim]; scores go through soft_cap * tanh(score / soft_cap) unless it is 0.
std::vector<double> Attention(std::span<const float> query, std::span<const float> keys,
                              std::span<const float> values, int num_keys, double soft_cap = 0);

}  // namespace weir::reference
