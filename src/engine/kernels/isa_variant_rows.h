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

static void RopeHalves(const IsaRope* args) {
  const int32_t half = args->dims / 2;
  const Lanes factor = Set(args->factor);
  RopeRows(*args, [&](float* x, const float* cosines, const float* sines) {
    const auto first = [&](Lanes a, Lanes b, Lanes cosine, Lanes sine) {
      return Mul(Fma(b, Sub(Set(0.0f), sine), Mul(a, cosine)), factor);
    };
    const auto last = [&](Lanes a, Lanes b, Lanes cosine, Lanes sine) {
      return Mul(Fma(a, sine, Mul(b, cosine)), factor);
    };
    int32_t i = 0;
    for (; i + 16 <= half; i += 16) {
      const Lanes a = Load(x + i), b = Load(x + half + i);
      const Lanes cosine = Load(cosines + i), sine = Load(sines + i);
      Store(x + i, first(a, b, cosine, sine));
      Store(x + half + i, last(a, b, cosine, sine));
    }
    if (i == half) return;
    const int32_t count = half - i;
    const Lanes a = LoadPart(x + i, count), b = LoadPart(x + half + i, count);
    const Lanes cosine = LoadPart(cosines + i, count), sine = LoadPart(sines + i, count);
    StorePart(x + i, first(a, b, cosine, sine), count);
    StorePart(x + half + i, last(a, b, cosine, sine), count);
  });
}
