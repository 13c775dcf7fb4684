// A prompt's rows where the CPU has the bf16 dot product: their attention, their products, and its speed. VNNI does not imply the
// instruction, so it has an object and a CPU check of its own.
#include <immintrin.h>

#include "engine/kernels/isa_abi.h"

namespace weir {
namespace {

// The order matters: blank lines keep it.
#include "engine/kernels/isa_maxima.h"

#include "engine/kernels/isa_lanes_avx512.h"

#include "engine/kernels/isa_formats.h"

#include "engine/kernels/isa_prefetch.h"

#include "engine/kernels/isa_blocks_avx512.h"

#include "engine/kernels/isa_exp.h"

// Rows and columns of 16 whose sums are in registers. An instruction takes a pair of columns of `a` for all 16 lanes of `b`.
enum { kRowsTogether = 8, kColumnsTogether = 2 };

static inline void MultiplyFour(const unsigned char* a, int64_t next_a, const unsigned char* b,
                                int64_t next_b, int64_t step_b, int32_t depth, float* out,
                                int64_t out_stride);

#include "engine/kernels/isa_attention_prompts.h"

#include "engine/kernels/isa_prompt_silu.h"

#include "engine/kernels/isa_outliers.h"

#include "engine/kernels/isa_prompt_tiles.h"

#include "engine/kernels/isa_prompt_unpack.h"

#include "engine/kernels/isa_prompt_products.h"

static inline void MultiplyFour(const unsigned char* a, int64_t next_a, const unsigned char* b,
                                int64_t next_b, int64_t step_b, int32_t depth, float* out,
                                int64_t out_stride) {
  for (int32_t row = 0; row < kQueriesTogether; row += kRowsTogether) {
    const unsigned char* a_rows = a + row / 16 * next_a + row % 16 * 64;
    __m512 sums[kRowsTogether][kColumnsTogether];
#pragma GCC unroll 8
    for (int m = 0; m < kRowsTogether; ++m)
#pragma GCC unroll 2
      for (int n = 0; n < kColumnsTogether; ++n) sums[m][n] = _mm512_setzero_ps();
    for (int32_t k = 0; k < depth; ++k)
      for (int32_t pair = 0; pair < 16; ++pair) {
        __m512bh columns[kColumnsTogether];
#pragma GCC unroll 2
        for (int n = 0; n < kColumnsTogether; ++n)
          columns[n] = (__m512bh)_mm512_load_si512(b + k * step_b + n * next_b + 64 * pair);
        const int32_t* two = reinterpret_cast<const int32_t*>(a_rows + k * kTileBytes) + pair;
#pragma GCC unroll 8
        for (int m = 0; m < kRowsTogether; ++m) {
          const __m512bh both = (__m512bh)_mm512_set1_epi32(two[16 * m]);
#pragma GCC unroll 2
          for (int n = 0; n < kColumnsTogether; ++n)
            sums[m][n] = _mm512_dpbf16_ps(sums[m][n], both, columns[n]);
        }
      }
#pragma GCC unroll 8
    for (int m = 0; m < kRowsTogether; ++m)
#pragma GCC unroll 2
      for (int n = 0; n < kColumnsTogether; ++n) Store(out + (row + m) * out_stride + 16 * n, sums[m][n]);
  }
}

void Attention(const IsaAttention* args) { AttendPrompt(*args); }

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
extern const PromptKernels kAvx512Bf16Prompts;
const PromptKernels kAvx512Bf16Prompts = {kPromptRows,  kPromptBlockBytes, PromptMatMul,
                                          ToPromptTile, SiluToPromptTiles, nullptr};
extern const AttentionKernel kAvx512Bf16PromptAttention;
const AttentionKernel kAvx512Bf16PromptAttention = Attention;

}  // namespace weir
