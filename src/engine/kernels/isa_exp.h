// The exponential of 16 lanes, the same bits on every path; included inside the anonymous namespace of an ISA file.
//
// Requires  the ISA file has defined Lanes and its operations before
// Threads   pure functions
#pragma once

// e^x to 2 ulp; below -87.3 exactly 0.
static inline Lanes Exp(Lanes x) {
  const Lanes clamped = Min(Max(x, Set(-87.3f)), Set(88.3f));
  const Lanes n = Round(Mul(clamped, Set(1.44269504088896341f)));
  Lanes r = Fma(n, Set(-0.693359375f), clamped);
  r = Fma(n, Set(2.12194440e-4f), r);
  Lanes p = Set(1.9875691500e-4f);
  p = Fma(p, r, Set(1.3981999507e-3f));
  p = Fma(p, r, Set(8.3334519073e-3f));
  p = Fma(p, r, Set(4.1665795894e-2f));
  p = Fma(p, r, Set(1.6666665459e-1f));
  p = Fma(p, r, Set(5.0000001201e-1f));
  p = Fma(Mul(r, r), p, r);
  p = Add(p, Set(1.0f));
  return ZeroWhereLess(x, Set(-87.3f), ScaleByPowerOf2(p, n));
}
