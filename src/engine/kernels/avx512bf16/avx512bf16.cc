// The bf16 dot product's speed. VNNI does not imply the instruction, so it has an object and a CPU check of its own.
#include <immintrin.h>

#include "engine/kernels/isa_abi.h"

namespace weir {
namespace {

int64_t ProbeBf16(int64_t rounds, float* sink) {
  __m512 sums[12];
  for (auto& sum : sums) sum = _mm512_setzero_ps();
  const __m512bh a = (__m512bh)_mm512_castps_si512(_mm512_set1_ps(sink[0]));
  const __m512bh b = (__m512bh)_mm512_castps_si512(_mm512_set1_ps(sink[1]));
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sums[j] = _mm512_dpbf16_ps(sums[j], a, b);
  }
  for (int j = 1; j < 12; ++j) sums[0] = _mm512_add_ps(sums[0], sums[j]);
  *sink = _mm512_reduce_add_ps(sums[0]);
  return rounds * 12 * 32;
}

}  // namespace

extern const Bf16Probe kAvx512Bf16Probe;
const Bf16Probe kAvx512Bf16Probe = {ProbeBf16};

}  // namespace weir
