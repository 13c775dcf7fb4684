// Rows of activations into the tiles that quantized products read, included inside the anonymous namespace of every vector ISA
// file and of the generic one, after isa_rows.h.
//
// Requires  the ISA file has defined Lanes, StoreCodes, MaximaOf and StoreCodesOf before
// Threads   pure functions
//
// A block of up to 8 rows at once: reducing 8 registers together costs little more than reducing one, and a tile keeps its
// rows' scales side by side. The bits are those of row after row, on every path.
#pragma once

enum { kTogether = 8 };

// One block of 32 columns for row t of a tile, and what its codes miss.
struct BlockRest {
  Lanes a;
  Lanes b;
};
static inline BlockRest QuantizeBlock(Lanes a, Lanes b, float largest, unsigned char* block,
                                      int32_t tile_rows, int32_t t) {
  // Below this the reciprocal would overflow; such a block is zero for every purpose.
  const bool zero = largest < 1e-30f;
  const float d = zero ? 0.0f : largest / 127.0f;
  const Lanes inverse = Set(zero ? 0.0f : 1.0f / d);
  const Lanes codes_a = Mul(a, inverse);
  const Lanes codes_b = Mul(b, inverse);
  const HalfSums sums = StoreCodes(reinterpret_cast<signed char*>(block) + 32 * t, codes_a, codes_b);
  const uint32_t sum = sums.first + sums.last;
  float* scales = reinterpret_cast<float*>(block + 32 * tile_rows);
  scales[t] = d;
  scales[tile_rows + t] = d * static_cast<float>(static_cast<int32_t>(sum));
  uint32_t* words = reinterpret_cast<uint32_t*>(scales);
  words[2 * tile_rows + t] = 0u - 128u * sum;
  words[3 * tile_rows + t] = 0u - 32u * sums.first;
  words[4 * tile_rows + t] = 0u - 32u * sums.last;
  words[5 * tile_rows + t] = (sums.first & 0xffffu) | sums.last << 16;
  return {Fma(Set(-d), Round(codes_a), a), Fma(Set(-d), Round(codes_b), b)};
}

static inline void QuantizeOne(const float* x, unsigned char* block, int32_t tile_rows, int32_t t,
                               unsigned char* residual, float threshold) {
  const Lanes a = Load(x);
  const Lanes b = Load(x + 16);
  const float largest = MaxLanes(Max(Abs(a), Abs(b)));
  const BlockRest rest = QuantizeBlock(a, b, largest, block, tile_rows, t);
  if (residual == nullptr) return;
  if (largest > threshold) {
    QuantizeBlock(rest.a, rest.b, MaxLanes(Max(Abs(rest.a), Abs(rest.b))), residual, tile_rows, t);
  } else {
    // With these two at zero the row's codes, whatever they are, count for nothing: most blocks cost no more than this.
    float* scales = reinterpret_cast<float*>(residual + 32 * tile_rows);
    scales[t] = 0.0f;
    scales[tile_rows + t] = 0.0f;
  }
}

// One block of `rows` rows, 3 to 8, from row t of the tile on.
static inline void QuantizeTogether(const float* x, int64_t stride, int32_t rows, unsigned char* block,
                                    int32_t tile_rows, int32_t t, unsigned char* residual,
                                    const float* thresholds) {
  const float* from[kTogether];
  for (int32_t i = 0; i < kTogether; ++i) from[i] = x + (i < rows ? i : 0) * stride;
  Lanes largest_lanes[kTogether];
  for (int32_t i = 0; i < kTogether; ++i) largest_lanes[i] = Max(Abs(Load(from[i])), Abs(Load(from[i] + 16)));
  float largest[kTogether];
  MaximaOf(largest_lanes, largest);
  float words[2][kTogether];
  float inverse[kTogether];
  for (int32_t i = 0; i < kTogether; ++i) {
    const bool zero = largest[i] < 1e-30f;
    const float d = zero ? 1.0f : largest[i] / 127.0f;
    const float reciprocal = 1.0f / d;
    words[0][i] = zero ? 0.0f : d;
    inverse[i] = zero ? 0.0f : reciprocal;
  }
  signed char codes[32 * kTogether];
  uint32_t first[kTogether];
  uint32_t last[kTogether];
  const bool whole = rows == kTogether;  // then the tile has 8 rows, all of them these
  StoreCodesOf(from, inverse, whole ? reinterpret_cast<signed char*>(block) : codes, first, last);
  uint32_t sums[4][kTogether];
  for (int32_t i = 0; i < kTogether; ++i) {
    const uint32_t sum = first[i] + last[i];
    words[1][i] = words[0][i] * static_cast<float>(static_cast<int32_t>(sum));
    sums[0][i] = 0u - 128u * sum;
    sums[1][i] = 0u - 32u * first[i];
    sums[2][i] = 0u - 32u * last[i];
    sums[3][i] = (first[i] & 0xffffu) | last[i] << 16;
  }
  if (whole) {
    __builtin_memcpy(block + 32 * kTogether, words, sizeof(words));
    __builtin_memcpy(block + 32 * kTogether + sizeof(words), sums, sizeof(sums));
  } else {
    __builtin_memcpy(block + 32 * t, codes, static_cast<size_t>(rows) * 32);
    unsigned char* to = block + 32 * tile_rows + 4 * t;
    for (int32_t i = 0; i < rows; ++i) {
      __builtin_memcpy(to + 4 * i, &words[0][i], 4);
      __builtin_memcpy(to + 4 * (tile_rows + i), &words[1][i], 4);
      for (int32_t j = 0; j < 4; ++j) __builtin_memcpy(to + 4 * ((2 + j) * tile_rows + i), &sums[j][i], 4);
    }
  }
  if (residual == nullptr) return;
  float* scales = reinterpret_cast<float*>(residual + 32 * tile_rows) + t;
  for (int32_t i = 0; i < rows; ++i) {
    scales[i] = 0.0f;
    scales[tile_rows + i] = 0.0f;
  }
  for (int32_t i = 0; i < rows; ++i) {
    if (!(largest[i] > thresholds[i])) continue;
    const Lanes factor = Set(inverse[i]);
    const Lanes d = Set(-words[0][i]);
    const Lanes a = Load(from[i]);
    const Lanes b = Load(from[i] + 16);
    const BlockRest rest = {Fma(d, Round(Mul(a, factor)), a), Fma(d, Round(Mul(b, factor)), b)};
    QuantizeBlock(rest.a, rest.b, MaxLanes(Max(Abs(rest.a), Abs(rest.b))), residual, tile_rows, t + i);
  }
}

static void Quantize(const float* x, int64_t stride, int32_t rows, int32_t n, unsigned char* tile,
                     int32_t tile_rows, int32_t t, unsigned char* residual, const float* thresholds) {
  const int64_t block_bytes = static_cast<int64_t>(tile_rows) * kActivationBlockBytes;
  for (int32_t k = 0; k < n; k += 32, tile += block_bytes) {
    if (rows > 2)
      QuantizeTogether(x + k, stride, rows, tile, tile_rows, t, residual, thresholds);
    else
      for (int32_t i = 0; i < rows; ++i)
        QuantizeOne(x + i * stride + k, tile, tile_rows, t + i, residual,
                    residual == nullptr ? 0.0f : thresholds[i]);
    if (residual != nullptr) residual += block_bytes;
  }
}
