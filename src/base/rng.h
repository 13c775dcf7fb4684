// A small seeded generator whose stream is the same on every machine and compiler, unlike <random>'s
// distributions.
//
// Threads   none shared; one object per owner
// Source    xoshiro256** seeded by splitmix64 (Blackman and Vigna, public domain algorithms)
#pragma once

#include <array>
#include <cstdint>

namespace weir {

class Rng {
 public:
  explicit Rng(uint64_t seed);

  uint64_t Next();
  // Uniform in [0, 1) with 53 bits.
  double NextDouble();
  // Uniform in [0, bound); bound > 0. No modulo bias.
  uint64_t NextBelow(uint64_t bound);
  // Exponential with mean 1.
  double NextExponential();
  // Standard normal.
  double NextNormal();
  // Gamma with the given shape and mean 1; shape > 0.
  double NextGamma(double shape);

 private:
  std::array<uint64_t, 4> state_;
};

// A seed nobody chose, for requests without one.
uint64_t RandomSeed();

}  // namespace weir
