#include "engine/kvcache/key_tokens.h"

#include <emmintrin.h>

#include "engine/kvcache/block_pool.h"

namespace weir {
namespace {

void TurnEight(const uint16_t* from, int64_t stride, uint16_t* to, int64_t to_stride) {
  __m128i rows[8];
  for (int i = 0; i < 8; ++i) rows[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * stride));
  // Pairs of tokens, then fours, then eights: after each, more of a column lies together.
  __m128i pairs[8];
  for (int i = 0; i < 4; ++i) {
    pairs[i] = _mm_unpacklo_epi16(rows[2 * i], rows[2 * i + 1]);      // columns 0 to 3
    pairs[4 + i] = _mm_unpackhi_epi16(rows[2 * i], rows[2 * i + 1]);  // 4 to 7
  }
  __m128i fours[8];
  for (int half = 0; half < 2; ++half)
    for (int i = 0; i < 2; ++i) {
      const __m128i a = pairs[4 * half + 2 * i], b = pairs[4 * half + 2 * i + 1];
      fours[4 * half + i] = _mm_unpacklo_epi32(a, b);
      fours[4 * half + 2 + i] = _mm_unpackhi_epi32(a, b);
    }
  for (int i = 0; i < 4; ++i) {
    const __m128i a = fours[2 * i], b = fours[2 * i + 1];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + (2 * i) * to_stride), _mm_unpacklo_epi64(a, b));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + (2 * i + 1) * to_stride), _mm_unpackhi_epi64(a, b));
  }
}

}  // namespace

void TurnKeys(const uint16_t* keys, int64_t stride, int count, uint16_t* to) {
  for (int d = 0; d < count; d += 8)
    for (int token = 0; token < kBlockSize; token += 8)
      TurnEight(keys + token * stride + d, stride, to + int64_t{d} * kBlockSize + token, kBlockSize);
}

}  // namespace weir
