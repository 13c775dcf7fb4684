// Rows of activations into the tiles that quantized products read, included inside the anonymous namespace of every vector ISA
// file and of the generic one, after isa_rows.h and isa_outliers.h.
//
// Requires  the ISA file has defined Lanes, StoreCodes, MaximaOf and StoreCodesOf before
// Threads   pure functions
//
// A block of up to 8 rows at once: reducing 8 registers together costs little more than reducing one, and a tile keeps its
// rows' scales side by side. The bits are those of row after row, on every path.
#pragma once

enum { kTogether = 8 };

static inline void StoreOutlier(unsigned char* block, int32_t tile_rows, int32_t t, float value,
                                int32_t column) {
  unsigned char* const outliers = block + kOutliersAt * tile_rows;
  __builtin_memcpy(outliers + 4 * t, &value, 4);
  __builtin_memcpy(outliers + 4 * (tile_rows + t), &column, 4);
}

// Whether a block's largest value may be taken out.
static inline bool IsBeyond(float largest, float threshold) {
  return largest > threshold && largest < __builtin_inff();
}

// One block of 32 columns for row t of a tile.
static inline void QuantizeOne(const float* x, unsigned char* block, int32_t tile_rows, int32_t t,
                               float threshold) {
  Lanes a = Load(x);
  Lanes b = Load(x + 16);
  float largest = MaxLanes(Max(Abs(a), Abs(b)));
  StoreOutlier(block, tile_rows, t, 0.0f, 0);
  if (IsBeyond(largest, threshold)) {
    float rest[32];
    const BlockMaximum maximum = TakeOutlier(x, largest, rest);
    if (maximum.taken_from >= 0) {
      StoreOutlier(block, tile_rows, t, x[maximum.taken_from], maximum.taken_from);
      largest = maximum.largest;
      a = Load(rest);
      b = Load(rest + 16);
    }
  }
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
}

// One block of `rows` rows, 3 to 8, from row t of the tile on.
static inline void QuantizeTogether(const float* x, int64_t stride, int32_t rows, unsigned char* block,
                                    int32_t tile_rows, int32_t t, const float* thresholds) {
  const float* from[kTogether];
  for (int32_t i = 0; i < kTogether; ++i) from[i] = x + (i < rows ? i : 0) * stride;
  Lanes largest_lanes[kTogether];
  for (int32_t i = 0; i < kTogether; ++i) largest_lanes[i] = Max(Abs(Load(from[i])), Abs(Load(from[i] + 16)));
  float largest[kTogether];
  MaximaOf(largest_lanes, largest);
  float outliers[kTogether] = {};
  int32_t columns[kTogether] = {};
  float rest[kTogether][32];
  for (int32_t i = 0; thresholds != nullptr && i < rows; ++i) {
    if (!IsBeyond(largest[i], thresholds[i])) continue;
    const BlockMaximum maximum = TakeOutlier(from[i], largest[i], rest[i]);
    if (maximum.taken_from < 0) continue;
    outliers[i] = from[i][maximum.taken_from];
    columns[i] = maximum.taken_from;
    largest[i] = maximum.largest;
    from[i] = rest[i];
  }
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
    __builtin_memcpy(block + int{kOutliersAt} * kTogether, outliers, sizeof(outliers));
    __builtin_memcpy(block + int{kOutliersAt} * kTogether + sizeof(outliers), columns, sizeof(columns));
  } else {
    __builtin_memcpy(block + 32 * t, codes, static_cast<size_t>(rows) * 32);
    unsigned char* to = block + 32 * tile_rows + 4 * t;
    for (int32_t i = 0; i < rows; ++i) {
      __builtin_memcpy(to + 4 * i, &words[0][i], 4);
      __builtin_memcpy(to + 4 * (tile_rows + i), &words[1][i], 4);
      for (int32_t j = 0; j < 4; ++j) __builtin_memcpy(to + 4 * ((2 + j) * tile_rows + i), &sums[j][i], 4);
      StoreOutlier(block, tile_rows, t + i, outliers[i], columns[i]);
    }
  }
}

static void Quantize(const float* x, int64_t stride, int32_t rows, int32_t n, unsigned char* tile,
                     int32_t tile_rows, int32_t t, const float* thresholds) {
  const int64_t block_bytes = static_cast<int64_t>(tile_rows) * kActivationBlockBytes;
  for (int32_t k = 0; k < n; k += 32, tile += block_bytes) {
    if (rows > 2)
      QuantizeTogether(x + k, stride, rows, tile, tile_rows, t, thresholds);
    else
      for (int32_t i = 0; i < rows; ++i)
        QuantizeOne(x + i * stride + k, tile, tile_rows, t + i,
                    thresholds == nullptr ? __builtin_inff() : thresholds[i]);
  }
}
