// Rows of a prompt as int8 tiles, included inside the anonymous namespace of the AVX-512 ISA files,
// after isa_lanes_avx512.h and isa_outliers.h.
//
// Shapes    a tile has 6 rows, the last may lack some: a PromptBlock for each 32 columns, then the outliers of all blocks
// Threads   pure functions; threads may write different rows or blocks of a tile
// Source    docs/KERNELS.md, "Prompts in int8"
//
// What a block loses most by is a huge value among small ones, so one such value is taken out and multiplied as a float.
//
// A block's scale is 2^k times 1, 1.25, 1.5 or 1.75, rounded up. The power of two can then be had without a multiplication, and the
// rest is among the multiples of the weights' scale (isa_prompt_unpack.h).
#pragma once

enum { kPromptRows = 6, kNoOutlier = 0xff };
enum { kStepBits = 2, kSteps = 1 << kStepBits };

// As a float, it has a whole number in its low bits: adding another to these bits, as integers, adds that number.
static constexpr float kShift = 0x1.8p23f;

struct alignas(64) PromptBlock {
  unsigned char codes[kPromptRows][32];  // value = (code - 128) * scale
  float shifts[kPromptRows];             // kShift * 2^k; not finite where a value is not, or beyond 10^33
  // As bf16, of the values without the outlier: of this block and, if it is even, the next.
  uint16_t sums[kPromptRows][2];
  unsigned char steps[8];            // the scale is 2^k * (1 + step / kSteps)
  unsigned char outlier_columns[8];  // where in the block, or kNoOutlier; of 8 rows, as they are looked for
};
static_assert(sizeof(PromptBlock) == 256);

struct PromptTile {
  PromptBlock* blocks;
  float (*outliers)[kPromptRows];         // of a block, the values as they are
  uint16_t (*half_sums)[kPromptRows][2];  // as the block's, of its first and its last 16 columns
};
enum { kPromptBlockBytes = sizeof(PromptBlock) + 64 };  // the outliers take less

static inline PromptTile PromptTileAt(unsigned char* tile, int32_t blocks) {
  unsigned char* const outliers = tile + blocks * static_cast<int64_t>(sizeof(PromptBlock));
  return {reinterpret_cast<PromptBlock*>(tile), reinterpret_cast<float(*)[kPromptRows]>(outliers),
          reinterpret_cast<uint16_t(*)[kPromptRows][2]>(outliers + 24 * static_cast<int64_t>(blocks))};
}

// The codes of 32 values from each pointer, times their factor, 128 too large; returns in every 64 bits of row i what those of the
// first and of the last 16 sum up to (without the 128).
static inline __m512i PromptCodesOf(const float* const (&x)[8], const float (&factors)[8],
                                    unsigned char* codes) {
  __m512i of_two[4];
#pragma GCC unroll 3
  for (int i = 0; i < kPromptRows / 2; ++i) {
    of_two[i] = CodesOfTwo(x + 2 * i, factors + 2 * i);
    _mm512_storeu_si512(codes + 64 * i,
                        _mm512_xor_si512(InOrderOfColumns(of_two[i]), _mm512_set1_epi8(-128)));
  }
  of_two[3] = _mm512_setzero_si512();
  return SumsOfCodes(of_two);
}

// Rows [t, t + rows) of block b of a tile from rows of floats. Inline for those who know the number of rows.
inline __attribute__((always_inline)) void ToPromptBlock(const float* x, int64_t stride, int32_t rows,
                                                         const PromptTile& tile, int32_t b, int32_t t,
                                                         const float* thresholds) {
  PromptBlock* const block = tile.blocks + b;
  const __mmask8 there = static_cast<__mmask8>((1u << rows) - 1);
  const float* from[8];
  Lanes lanes[8];
  __mmask16 unordered = 0;
#pragma GCC unroll 8
  for (int32_t i = 0; i < 8; ++i) {
    from[i] = x + (i < rows ? i : 0) * stride;
    if (i >= kPromptRows) {
      lanes[i] = lanes[0];
      continue;
    }
    const Lanes first = Load(from[i]);
    const Lanes last = Load(from[i] + 16);
    lanes[i] = Max(Abs(first), Abs(last));
    unordered |= _mm512_cmp_ps_mask(first, last, _CMP_UNORD_Q);
  }
  alignas(32) float largest[8];
  MaximaOf(lanes, largest);
  _mm_mask_storeu_epi8(block->outlier_columns + t, there, _mm_set1_epi8(-1));
  // A maximum may lose a NaN.
  for (int32_t i = 0; unordered != 0 && i < rows; ++i)
    if (_mm512_cmp_ps_mask(Load(from[i]), Load(from[i] + 16), _CMP_UNORD_Q) != 0)
      largest[i] = __builtin_nanf("");
  float rest[kPromptRows][32];
  if (thresholds != nullptr) {
    const __m256 bounds = _mm256_maskz_loadu_ps(there, thresholds);
    uint32_t beyond = _mm256_mask_cmp_ps_mask(there, _mm256_load_ps(largest), bounds, _CMP_GT_OQ);
    for (; beyond != 0; beyond &= beyond - 1) {
      const int i = __builtin_ctz(beyond);
      if (!(largest[i] < __builtin_inff())) continue;
      const BlockMaximum maximum = TakeOutlier(from[i], largest[i], rest[i]);
      if (maximum.taken_from < 0) continue;
      tile.outliers[b][t + i] = from[i][maximum.taken_from];
      block->outlier_columns[t + i] = static_cast<unsigned char>(maximum.taken_from);
      largest[i] = maximum.largest;
      from[i] = rest[i];
    }
  }
  // False for NaN, which stays.
  const __mmask8 zero = _mm256_cmp_ps_mask(_mm256_load_ps(largest), _mm256_set1_ps(1e-30f), _CMP_LT_OQ);
  const __m256 exact =
      _mm256_maskz_mul_ps(static_cast<__mmask8>(~zero), _mm256_load_ps(largest), _mm256_set1_ps(1 / 127.0f));
  const __m256i below_step = _mm256_set1_epi32((1 << (23 - kStepBits)) - 1);
  const __m256i rounded =
      _mm256_andnot_si256(below_step, _mm256_add_epi32(_mm256_castps_si256(exact), below_step));
  const __m256 scales = _mm256_castsi256_ps(rounded);
  alignas(32) float inverse[8];
  _mm256_store_ps(inverse, _mm256_maskz_div_ps(static_cast<__mmask8>(~zero), _mm256_set1_ps(1.0f), scales));
  const __m256 powers =
      _mm256_castsi256_ps(_mm256_and_si256(rounded, _mm256_castps_si256(_mm256_set1_ps(__builtin_inff()))));
  _mm256_mask_storeu_ps(block->shifts + t, there, _mm256_mul_ps(powers, _mm256_set1_ps(kShift)));
  _mm_mask_storeu_epi8(block->steps + t, there,
                       _mm256_cvtepi32_epi8(_mm256_and_si256(_mm256_srli_epi32(rounded, 23 - kStepBits),
                                                             _mm256_set1_epi32(kSteps - 1))));
  __m512i sums;
  if (rows == kPromptRows) {
    sums = PromptCodesOf(from, inverse, block->codes[0]);
  } else {
    alignas(64) unsigned char codes[kPromptRows * 32];
    sums = PromptCodesOf(from, inverse, codes);
    __builtin_memcpy(block->codes[t], codes, static_cast<size_t>(rows) * 32);
  }
  const __m256i first = _mm512_cvtepi64_epi32(sums);
  const __m256i last = _mm512_cvtepi64_epi32(_mm512_srli_epi64(sums, 32));
  const auto bf16_of = [&](__m256i sum) {
    return _mm256_cvtepu16_epi32((__m128i)_mm256_cvtneps_pbh(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), scales)));
  };
  _mm256_mask_storeu_epi32(tile.half_sums[b] + t, there,
                           _mm256_or_si256(bf16_of(first), _mm256_slli_epi32(bf16_of(last), 16)));
  // Another thread may be writing the other block's.
  alignas(32) uint32_t whole[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(whole), bf16_of(_mm256_add_epi32(first, last)));
  uint16_t(*const pairs)[2] = tile.blocks[b / 2 * 2].sums + t;
  for (int32_t i = 0; i < rows; ++i) pairs[i][b % 2] = static_cast<uint16_t>(whole[i]);
}

static void ToPromptTile(const float* x, int64_t stride, int32_t rows, int32_t first_column, int32_t n,
                         unsigned char* tile, int32_t columns, int32_t t, const float* thresholds) {
  const PromptTile into = PromptTileAt(tile, columns / 32);
  if (rows == kPromptRows) {
    for (int32_t k = 0; k < n; k += 32)
      ToPromptBlock(x + k, stride, kPromptRows, into, (first_column + k) / 32, 0, thresholds);
    return;
  }
  for (int32_t k = 0; k < n; k += 32)
    ToPromptBlock(x + k, stride, rows, into, (first_column + k) / 32, t, thresholds);
}

static inline void SiluOfRows(const float* gate, const float* up, int64_t stride, int32_t rows,
                              float (&out)[kPromptRows][32]) {
  for (int32_t t = 0; t < rows; ++t, gate += stride, up += stride) {
    Store(out[t], SiluMultiply(Load(gate), Load(up)));
    Store(out[t] + 16, SiluMultiply(Load(gate + 16), Load(up + 16)));
  }
}

// A tile's values are computed before the tile ahead of it is quantized: that is one long chain, with much room beside it.
static void SiluToPromptTiles(const float* gate, const float* up, int64_t stride, int32_t rows,
                              int32_t first_column, unsigned char* tiles, int32_t columns,
                              const float* thresholds) {
  float values[2][kPromptRows][32];
  const auto quantize = [&](int32_t row, int32_t of_tile, int32_t at) __attribute__((always_inline)) {
    ToPromptBlock(values[at][0], 32, of_tile, PromptTileAt(tiles, columns / 32), first_column / 32, 0,
                  thresholds == nullptr ? nullptr : thresholds + row);
    tiles += columns / 32 * static_cast<int64_t>(kPromptBlockBytes);
  };
  const int32_t in_first = rows < kPromptRows ? rows : static_cast<int32_t>(kPromptRows);
  SiluOfRows(gate, up, stride, in_first, values[0]);
  int32_t row = 0, at = 0;
  // The usual number is known to the compiler.
  for (; row + kPromptRows <= rows; row += kPromptRows, at ^= 1) {
    const int32_t next = row + kPromptRows;
    const int32_t left = rows - next;
    if (left >= kPromptRows)
      SiluOfRows(gate + next * stride, up + next * stride, stride, kPromptRows, values[at ^ 1]);
    else
      SiluOfRows(gate + next * stride, up + next * stride, stride, left, values[at ^ 1]);
    quantize(row, kPromptRows, at);
  }
  if (row < rows) quantize(row, rows - row, at);
}
