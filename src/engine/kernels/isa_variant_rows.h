// Row operations that some architectures need and llama does not, written once over 16 lanes; included inside the anonymous
// namespace of every ISA file after isa_rows.h and before isa_attention.h.
//
// Requires  the ISA file has defined Lanes and its operations (Load, Store, Fma, ...) before
// Threads   pure functions
#pragma once

static void AddRow(const float* x, int32_t n, float* sum) {
  int32_t i = 0;
  for (; i + 16 <= n; i += 16) Store(sum + i, Add(Load(sum + i), Load(x + i)));
  for (; i < n; ++i) sum[i] += x[i];
}

// GELU by its tanh form is x / (1 + e^-2u) with u = sqrt(2 / pi) * (x + 0.044715 x^3): nothing cancels.
static inline Lanes GeluMultiplyLanes(Lanes gate, Lanes up) {
  const Lanes square = Mul(gate, gate);
  const Lanes exponent = Mul(gate, Fma(square, Set(-0.0713548163f), Set(-1.5957691216f)));
  return Mul(Div(gate, Add(Set(1.0f), Exp(exponent))), up);
}

static void GeluMultiply(const float* gate, const float* up, int32_t n, float* out) {
  int32_t i = 0;
  for (; i + 16 <= n; i += 16) Store(out + i, GeluMultiplyLanes(Load(gate + i), Load(up + i)));
  if (i < n) StorePart(out + i, GeluMultiplyLanes(LoadPart(gate + i, n - i), LoadPart(up + i, n - i)), n - i);
}

// cap * tanh(x / cap). What is not finite becomes NaN, which Exp() alone would hide.
static inline Lanes SoftCapLanes(Lanes x, float cap) {
  const Lanes power = Exp(Mul(x, Set(2.0f / cap)));
  const Lanes tanh = Sub(Set(1.0f), Div(Set(2.0f), Add(power, Set(1.0f))));
  return Fma(x, Set(0.0f), Mul(tanh, Set(cap)));
}

static void SoftCap(float* x, int32_t n, float cap) {
  int32_t i = 0;
  for (; i + 16 <= n; i += 16) Store(x + i, SoftCapLanes(Load(x + i), cap));
  if (i < n) StorePart(x + i, SoftCapLanes(LoadPart(x + i, n - i), cap), n - i);
}

// The pairs (i, i + n/2) of x[0..n).
static void RopeHalves(float* x, const float* cosines, const float* sines, int32_t n) {
  const int32_t half = n / 2;
  int32_t i = 0;
  for (; i + 16 <= half; i += 16) {
    const Lanes a = Load(x + i);
    const Lanes b = Load(x + half + i);
    Store(x + i, Fma(b, Sub(Set(0.0f), Load(sines + i)), Mul(a, Load(cosines + i))));
    Store(x + half + i, Fma(a, Load(sines + i), Mul(b, Load(cosines + i))));
  }
  if (i == half) return;
  const int32_t count = half - i;
  const Lanes a = LoadPart(x + i, count);
  const Lanes b = LoadPart(x + half + i, count);
  const Lanes c = LoadPart(cosines + i, count);
  const Lanes s = LoadPart(sines + i, count);
  StorePart(x + i, Fma(b, Sub(Set(0.0f), s), Mul(a, c)), count);
  StorePart(x + half + i, Fma(a, s, Mul(b, c)), count);
}
