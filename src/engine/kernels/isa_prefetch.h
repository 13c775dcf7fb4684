// What a stream over weights asks for ahead of itself, included inside the anonymous namespace of the vector ISA files.
//
// Threads   pure functions
//
// Few rows live on bandwidth, and do too much per byte for the CPU's own prefetcher to keep memory busy. A line is asked for
// twice: far ahead into the second-level cache, because memory is slow and the first level has too few places for what is on
// its way; then shortly before its use into the first.
#pragma once

enum { kFarBytes = 8192, kNearBytes = 4096 };
enum { kIntoL1 = 3, kIntoL2 = 2 };

inline __attribute__((always_inline)) void PrefetchLine(const unsigned char* p, int64_t far, int64_t near) {
  __builtin_prefetch(p + far, 0, kIntoL2);
  __builtin_prefetch(p + near, 0, kIntoL1);
}

// For `Bytes` of the stream from p on.
template <int Bytes>
inline __attribute__((always_inline)) void Prefetch(const unsigned char* p) {
  for (int i = 0; i < Bytes; i += 64) PrefetchLine(p + i, kFarBytes, kNearBytes);
}
