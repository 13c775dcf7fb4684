// Lanes of the generic path: 16 floats. Included inside an anonymous namespace.
#pragma once

struct Lanes {
  float v[16];
};
enum { kTileQueries = 1, kWideQueries = 1, kTileColumns = 1 };

template <typename F>
static inline Lanes Each(F f) {
  Lanes out;
  for (int i = 0; i < 16; ++i) out.v[i] = f(i);
  return out;
}
static inline uint32_t FloatBits(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  return bits;
}
static inline float BitsToFloat(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}
static inline float HalfBitsToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0) return BitsToFloat(FloatBits(static_cast<float>(mantissa) * 0x1p-24f) | sign);
  if (exponent == 0x1f) return BitsToFloat(sign | 0x7f800000u | (mantissa << 13));
  return BitsToFloat(sign | ((exponent + 112) << 23) | (mantissa << 13));
}
static inline uint16_t FloatToHalfBits(float value) {
  const uint32_t bits = FloatBits(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x1ffu));
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  // Below 2^-14: adding 0.5 leaves the value in units of 2^-24 in the low mantissa bits, rounded to even.
  if (magnitude < 0x38800000u)
    return static_cast<uint16_t>(sign | (FloatBits(BitsToFloat(magnitude) + 0.5f) - 0x3f000000u));
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13));
}

static inline Lanes Load(const float* p) {
  return Each([p](int i) { return p[i]; });
}
static inline void Store(float* p, Lanes a) {
  for (int i = 0; i < 16; ++i) p[i] = a.v[i];
}
static inline Lanes Set(float v) {
  return Each([v](int) { return v; });
}
static inline Lanes Add(Lanes a, Lanes b) {
  return Each([&](int i) { return a.v[i] + b.v[i]; });
}
static inline Lanes Sub(Lanes a, Lanes b) {
  return Each([&](int i) { return a.v[i] - b.v[i]; });
}
static inline Lanes Mul(Lanes a, Lanes b) {
  return Each([&](int i) { return a.v[i] * b.v[i]; });
}
static inline Lanes Div(Lanes a, Lanes b) {
  return Each([&](int i) { return a.v[i] / b.v[i]; });
}
static inline Lanes Fma(Lanes a, Lanes b, Lanes c) {
  return Each([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
}
// Like maxps and minps: the second operand when the comparison fails.
static inline Lanes Max(Lanes a, Lanes b) {
  return Each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
static inline Lanes Min(Lanes a, Lanes b) {
  return Each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
static inline Lanes Abs(Lanes a) {
  return Each([&](int i) { return BitsToFloat(FloatBits(a.v[i]) & 0x7fffffffu); });
}
static inline Lanes Round(Lanes a) {
  return Each([&](int i) { return __builtin_rintf(a.v[i]); });
}
// What cvtps2dq gives, out of range and NaN included.
static inline int32_t ToInt(float value) {
  if (!(value >= -2147483648.0f && value < 2147483648.0f)) return INT32_MIN;
  return static_cast<int32_t>(__builtin_rintf(value));
}
// a * 2^n for whole n within the range of normal floats.
static inline Lanes ScaleByPowerOf2(Lanes a, Lanes n) {
  return Each([&](int i) {
    const uint32_t exponent = static_cast<uint32_t>(ToInt(n.v[i])) + 127u;
    return a.v[i] * BitsToFloat(exponent << 23);
  });
}
static inline Lanes ZeroWhereLess(Lanes x, Lanes bound, Lanes v) {
  return Each([&](int i) { return x.v[i] < bound.v[i] ? 0.0f : v.v[i]; });
}
static inline Lanes SwapPairs(Lanes a) {
  return Each([&](int i) { return a.v[i ^ 1]; });
}
static inline Lanes LoadHalf(const uint16_t* p) {
  return Each([p](int i) { return HalfBitsToFloat(p[i]); });
}
static inline void StoreHalf(uint16_t* p, Lanes a) {
  for (int i = 0; i < 16; ++i) p[i] = FloatToHalfBits(a.v[i]);
}
// Of the first and the last 16 of 32 codes, modulo 2^32.
struct HalfSums {
  uint32_t first;
  uint32_t last;
};
// Rounds 32 values to int8 and returns their sums.
static inline HalfSums StoreCodes(signed char* codes, Lanes a, Lanes b) {
  HalfSums sums = {0, 0};
  for (int i = 0; i < 32; ++i) {
    const int32_t code = ToInt(i < 16 ? a.v[i] : b.v[i - 16]);
    (i < 16 ? sums.first : sums.last) += static_cast<uint32_t>(code);
    codes[i] = static_cast<signed char>(code < -128 ? -128 : code > 127 ? 127 : code);
  }
  return sums;
}
// Halves are folded onto each other, 8 then 4 then 2 then 1: the order that vector registers have.
static inline float SumLanes(Lanes a) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
  return a.v[0];
}
static inline float MaxLanes(Lanes a) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) a.v[i] = a.v[i] > a.v[i + half] ? a.v[i] : a.v[i + half];
  return a.v[0];
}
// The first of 32 lanes that has this value; one does.
static inline int32_t IndexOf(Lanes a, Lanes b, float value) {
  int32_t at = 0;
  while (at < 31 && (at < 16 ? a.v[at] : b.v[at - 16]) != value) ++at;
  return at;
}
// Zeroes one of 32 lanes.
static inline void ClearLane(Lanes& a, Lanes& b, int32_t at) { (at < 16 ? a.v[at] : b.v[at - 16]) = 0; }
// The largest lane of each.
static inline void MaximaOf(const Lanes (&v)[8], float (&out)[8]) {
  for (int i = 0; i < 8; ++i) out[i] = MaxLanes(v[i]);
}
// The codes of 32 values from each pointer, times their factor, one after another, and what they sum up to.
static inline void StoreCodesOf(const float* const (&x)[8], const float (&factors)[8], signed char* codes,
                                uint32_t (&first)[8], uint32_t (&last)[8]) {
  for (int i = 0; i < 8; ++i) {
    const Lanes factor = Set(factors[i]);
    const HalfSums sums = StoreCodes(codes + 32 * i, Mul(Load(x[i]), factor), Mul(Load(x[i] + 16), factor));
    first[i] = sums.first;
    last[i] = sums.last;
  }
}

static inline Lanes LoadBytes(const unsigned char* p) {
  return Each([p](int i) { return static_cast<float>(static_cast<signed char>(p[i])); });
}
static inline void StoreBytes(signed char* p, Lanes a) {
  for (int i = 0; i < 16; ++i) {
    const int32_t code = ToInt(a.v[i]);
    p[i] = static_cast<signed char>(code < -128 ? -128 : code > 127 ? 127 : code);
  }
}

// 16 codes of a query, as 16-bit numbers. Returns what their products with keys have to be corrected by.
static inline int32_t StoreQueryCodes(unsigned char* codes, int32_t padded_dim, int32_t d, Lanes v) {
  static_cast<void>(padded_dim);
  for (int i = 0; i < 16; ++i) {
    const int32_t code = ToInt(v.v[i]);
    const int16_t stored = static_cast<int16_t>(code < -32768 ? -32768 : code > 32767 ? 32767 : code);
    __builtin_memcpy(codes + 2 * (d + i), &stored, 2);
  }
  return 0;
}
// Whole-number dot products of M queries, code_stride bytes apart, with the keys of N blocks.
template <int M, int N, typename B>
static inline void DotCodes(const unsigned char* codes, int64_t code_stride, const int32_t* starts,
                            int32_t padded_dim, const B& keys, int column, int32_t fours,
                            Lanes (&out)[M][N]) {
  static_cast<void>(starts);
  static_cast<void>(padded_dim);
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) {
      uint32_t sums[16] = {};
      for (int32_t d = 0; d < 4 * fours; ++d) {
        int16_t code;
        __builtin_memcpy(&code, codes + m * code_stride + 2 * d, 2);
        const unsigned char* key = keys.Codes(d / 4, column + n) + d % 4;
        for (int i = 0; i < 16; ++i)
          sums[i] += static_cast<uint32_t>(code * static_cast<signed char>(key[4 * i]));
      }
      out[m][n] = Each([&sums](int i) { return static_cast<float>(static_cast<int32_t>(sums[i])); });
    }
}
