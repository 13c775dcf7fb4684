// Row operations, written once over 16 lanes and included inside the anonymous namespace of every ISA file.
//
// Requires  the ISA file has defined Lanes and its operations (Load, Store, Fma, ...) before
// Threads   pure functions
//
// Every path computes with 16 lanes, whatever its registers hold, so all paths give the same bits.
#pragma once

// Loads 1 to 15 values; the rest are zero.
static inline Lanes LoadPart(const float* x, int n) {
  float lane[16];
  for (int i = 0; i < 16; ++i) lane[i] = i < n ? x[i] : 0.0f;
  return Load(lane);
}

static inline void StorePart(float* out, Lanes v, int n) {
  float lane[16];
  Store(lane, v);
  for (int i = 0; i < n; ++i) out[i] = lane[i];
}

static float RmsNorm(const float* x, const float* weight, int32_t n, float epsilon, float* out) {
  Lanes sum = Set(0.0f);
  int32_t i = 0;
  for (; i + 16 <= n; i += 16) sum = Fma(Load(x + i), Load(x + i), sum);
  if (i < n) {
    const Lanes tail = LoadPart(x + i, n - i);
    sum = Fma(tail, tail, sum);
  }
  const float mean = SumLanes(sum) / static_cast<float>(n);
  const float rms = __builtin_sqrtf(mean + epsilon);
  const Lanes factor = Set(1.0f / rms);
  for (i = 0; i + 16 <= n; i += 16) Store(out + i, Mul(Mul(Load(x + i), factor), Load(weight + i)));
  if (i < n) StorePart(out + i, Mul(Mul(LoadPart(x + i, n - i), factor), LoadPart(weight + i, n - i)), n - i);
  return rms;
}

static inline Lanes SiluMultiplyLanes(Lanes gate, Lanes up) {
  const Lanes one = Set(1.0f);
  return Mul(Div(gate, Add(one, Exp(Sub(Set(0.0f), gate)))), up);
}

static void SiluMultiply(const float* gate, const float* up, int32_t n, float* out) {
  int32_t i = 0;
  for (; i + 16 <= n; i += 16) Store(out + i, SiluMultiplyLanes(Load(gate + i), Load(up + i)));
  if (i < n) StorePart(out + i, SiluMultiplyLanes(LoadPart(gate + i, n - i), LoadPart(up + i, n - i)), n - i);
}

static void Scale(float* x, int32_t n, float factor) {
  int32_t i = 0;
  for (; i + 16 <= n; i += 16) Store(x + i, Mul(Load(x + i), Set(factor)));
  for (; i < n; ++i) x[i] *= factor;
}

// Calls body(x, cosines, sines) for every row, and scales what it leaves as it is.
template <typename Body>
static inline void RopeRows(const IsaRope& args, const Body& body) {
  float* x = args.x;
  for (int32_t row = 0; row < args.rows; ++row, x += args.x_stride) {
    body(x, args.tables[row], args.tables[row] + args.dims);
    Scale(x + args.dims, args.head_dim - args.dims, args.factor);
  }
}

static void Rope(const IsaRope* args) {
  const int32_t n = args->dims;
  const Lanes factor = Set(args->factor);
  RopeRows(*args, [&](float* x, const float* cosines, const float* sines) {
    const auto rotated = [&](Lanes v, Lanes cosine, Lanes sine) {
      return Mul(Fma(SwapPairs(v), sine, Mul(v, cosine)), factor);
    };
    int32_t i = 0;
    for (; i + 16 <= n; i += 16) Store(x + i, rotated(Load(x + i), Load(cosines + i), Load(sines + i)));
    if (i < n)
      StorePart(x + i,
                rotated(LoadPart(x + i, n - i), LoadPart(cosines + i, n - i), LoadPart(sines + i, n - i)),
                n - i);
  });
}

static void ExpArray(const float* x, int32_t n, float* out) {
  int32_t i = 0;
  for (; i + 16 <= n; i += 16) Store(out + i, Exp(Load(x + i)));
  if (i < n) StorePart(out + i, Exp(LoadPart(x + i, n - i)), n - i);
}

static float Maximum(const float* x, int32_t n) {
  const Lanes infinity = Set(__builtin_inff());
  Lanes largest = Set(-__builtin_inff());
  Lanes unsound = Set(0.0f);
  int32_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const Lanes v = Load(x + i);
    largest = Max(largest, v);
    unsound = Max(unsound, ZeroWhereLess(v, infinity, Set(1.0f)));
  }
  float result = MaxLanes(largest);
  bool sound = MaxLanes(unsound) == 0.0f;
  for (; i < n; ++i) {
    sound = sound && x[i] < __builtin_inff();
    result = x[i] > result ? x[i] : result;
  }
  return sound ? result : __builtin_nanf("");
}

static void ToHalf(const float* x, int32_t n, uint16_t* out) {
  int32_t i = 0;
  for (; i + 16 <= n; i += 16) StoreHalf(out + i, Load(x + i));
  if (i < n) {
    uint16_t half[16];
    StoreHalf(half, LoadPart(x + i, n - i));
    for (int j = 0; i + j < n; ++j) out[i + j] = half[j];
  }
}

static inline float LargestOf(const float* x, int32_t n) {
  Lanes largest = Set(0.0f);
  int32_t i = 0;
  for (; i + 16 <= n; i += 16) largest = Max(largest, Abs(Load(x + i)));
  if (i < n) largest = Max(largest, Abs(LoadPart(x + i, n - i)));
  return MaxLanes(largest);
}

static float QuantizeHead(const float* x, int32_t n, signed char* codes) {
  const float largest = LargestOf(x, n);
  const bool zero = largest < 1e-30f;
  const float d = zero ? 0.0f : largest / 127.0f;
  const Lanes inverse = Set(zero ? 0.0f : 1.0f / d);
  int32_t i = 0;
  for (; i + 16 <= n; i += 16) StoreBytes(codes + i, Mul(Load(x + i), inverse));
  if (i < n) StoreBytes(codes + i, Mul(LoadPart(x + i, n - i), inverse));
  return d;
}
