#include "base/rng.h"

#include <cmath>
#include <random>

namespace weir {
namespace {

uint64_t SplitMix(uint64_t& state) {
  state += 0x9e3779b97f4a7c15ULL;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

uint64_t RotateLeft(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

}  // namespace

Rng::Rng(uint64_t seed) {
  for (uint64_t& word : state_) word = SplitMix(seed);
}

uint64_t Rng::Next() {
  const uint64_t result = RotateLeft(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = RotateLeft(state_[3], 45);
  return result;
}

double Rng::NextDouble() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

uint64_t Rng::NextBelow(uint64_t bound) {
  const uint64_t threshold = (0 - bound) % bound;
  for (;;) {
    const uint64_t value = Next();
    if (value >= threshold) return value % bound;
  }
}

double Rng::NextExponential() { return -std::log1p(-NextDouble()); }

double Rng::NextNormal() {
  const double radius = std::sqrt(2.0 * NextExponential());
  return radius * std::cos(2.0 * 3.14159265358979323846 * NextDouble());
}

double Rng::NextGamma(double shape) {
  // Marsaglia and Tsang; shapes below 1 are lifted by one and corrected with a power of a uniform.
  const double lifted = shape < 1.0 ? shape + 1.0 : shape;
  const double d = lifted - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = NextNormal();
    const double v = std::pow(1.0 + c * x, 3.0);
    if (v <= 0.0) continue;
    const double u = 1.0 - NextDouble();
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) {
      double gamma = d * v;
      if (shape < 1.0) gamma *= std::pow(1.0 - NextDouble(), 1.0 / shape);
      return gamma / shape;
    }
  }
}

uint64_t RandomSeed() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

}  // namespace weir
