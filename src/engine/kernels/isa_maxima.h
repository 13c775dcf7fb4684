// The largest lanes of several 256-bit registers at once, included inside the anonymous namespace of the vector ISA files, before
// their lanes.
//
// Threads   pure functions
#pragma once

// The largest of 8 lanes of each of 8 registers.
static inline __m256 MaximaOfEight(const __m256 (&v)[8]) {
  __m256 pairs[4];  // registers i and i + 4 in turn
  for (int i = 0; i < 4; ++i)
    pairs[i] = _mm256_max_ps(_mm256_unpacklo_ps(v[i], v[i + 4]), _mm256_unpackhi_ps(v[i], v[i + 4]));
  __m256 fours[2];  // i, i + 2, i + 4, i + 6
  for (int i = 0; i < 2; ++i)
    fours[i] =
        _mm256_max_ps(_mm256_unpacklo_ps(pairs[i], pairs[i + 2]), _mm256_unpackhi_ps(pairs[i], pairs[i + 2]));
  const __m256 low = _mm256_unpacklo_ps(fours[0], fours[1]);
  const __m256 high = _mm256_unpackhi_ps(fours[0], fours[1]);
  return _mm256_max_ps(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31));
}
