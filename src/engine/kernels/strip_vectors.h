// Sixteen bytes at a time, for moving the codes of several rows next to each other on any x86-64.
//
// Threads   pure functions
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weir {

using U16x8 = uint16_t __attribute__((vector_size(16)));
using U32x4 = uint32_t __attribute__((vector_size(16)));

template <typename Vector>
inline Vector LoadVector(const void* from) {
  Vector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename Vector>
inline void StoreVector(unsigned char* to, const Vector& value) {
  std::memcpy(to, &value, sizeof value);
}

// Four rows of four 32-bit elements become four columns.
inline void Transpose(U32x4 (&v)[4]) {
  const U32x4 low01 = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5);
  const U32x4 low23 = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5);
  const U32x4 high01 = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
  const U32x4 high23 = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
  v[0] = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
  v[1] = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
  v[2] = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
  v[3] = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}

// Eight rows of eight 16-bit elements become eight columns: pairs are interleaved first, then moved as 32 bits.
inline void Transpose(U16x8 (&v)[8]) {
  U32x4 low[4], high[4];  // pairs of rows (2i, 2i + 1), columns 0 to 3 and 4 to 7
  for (int i = 0; i < 4; ++i) {
    low[i] =
        reinterpret_cast<U32x4>(__builtin_shufflevector(v[2 * i], v[2 * i + 1], 0, 8, 1, 9, 2, 10, 3, 11));
    high[i] =
        reinterpret_cast<U32x4>(__builtin_shufflevector(v[2 * i], v[2 * i + 1], 4, 12, 5, 13, 6, 14, 7, 15));
  }
  Transpose(low);
  Transpose(high);
  for (int i = 0; i < 4; ++i) {
    v[i] = reinterpret_cast<U16x8>(low[i]);
    v[i + 4] = reinterpret_cast<U16x8>(high[i]);
  }
}

// Rows of a strip are read side by side, a few bytes of each: too many streams for the processor to see. But the next strip
// follows this one in the file, so that it can be asked for a piece at a time.
inline void PrefetchNextStrip(const std::byte* piece, int64_t bytes) {
  for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(piece + at);
}

}  // namespace weir
