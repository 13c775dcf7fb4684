// What crosses the border between an ISA folder and everything else: plain structs and one table of functions.
//
// Shapes    activations of quantized products lie in tiles of 1 to 8 rows: for each block of 32 columns
//           [T][32] int8 codes, [T] f32 scales, [T] f32 scale * sum, [T] int32 -128 * sum, then of the sums of the first
//           and the last 16 columns: [T] int32 -32 * first, [T] int32 -32 * last, [T][2] int16 first and last; then the
//           value that was taken out of the block: [T] f32, 0 where none was, and [T] int32 its column there. The tile
//           that starts at row r begins r * blocks * kActivationBlockBytes bytes in; tiles have 8 rows, but the
//           last two share theirs evenly
//           activations of PromptKernels lie in tiles of `tile_rows` rows, the last with room for as many, of `block_bytes`
//           for each 32 columns, on 64 bytes
// Requires  pointers valid, sizes as stated; entries work on a range and know no threads
// Owns      nothing
// Threads   pure functions
// Source    docs/KERNELS.md, "The table"
//
// No inline functions and no std types here: an ISA file must not emit a symbol that the linker could keep for the
// whole program, which would then crash on older CPUs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir {

// How weights lie once packed; w = code * scale + offset. isa_formats.h says more.
enum PackedFormat {
  kPackedNibbleMin = 0,        // Q4_1: own offset per block
  kPackedNibbleSymmetric = 1,  // Q4_0: offset is -8 * scale
  kPackedByteSymmetric = 2,    // Q8_0
  kPackedF16 = 4,
  kPackedBF16 = 5,
  kPackedF32 = 6,
  kPackedQ4K = 7,
  kPackedQ6K = 8,
  kPackedQ5_0 = 9,
  kPackedQ5_1 = 10,
  kPackedQ5K = 11,
  kPackedQ2K = 12,
  kPackedQ3K = 13,
  kPackedIq4Nl = 14,
  kPackedIq4Xs = 15,
};

enum {
  kMaxTileRows = 8,
  kActivationBlockBytes = 32 + 8 * 4,
  kOutliersAt = 32 + 6 * 4,  // times the rows of a tile
  kAttentionKeys = 64,
  kAttentionRows = 16,
  kPromptAttentionRows = 64
};
// Keys of a chunk, whose softmax is computed on its own; and the head size up to which sums of codes fit 32 bits.
enum { kAttentionChunk = 256, kMaxInt8HeadDim = 512 };

struct IsaMatMul {
  int32_t format;
  int32_t in;    // columns
  int32_t out;   // rows of the matrix; the last strip may be padded
  int32_t rows;  // activation rows
  const unsigned char* strips;
  int64_t strip_bytes;
  const unsigned char* activations;  // tiles, for quantized formats
  const float* x;                    // [rows, in], for float formats
  int64_t x_stride;
  int32_t first_strip;
  int32_t last_strip;  // one past
  const unsigned char*
      next_strips;  // null, or what this thread will probably multiply by after these: a hint for PromptKernels
  int64_t next_strip_bytes;
  int32_t accumulate;  // y += instead of y =
  float* y;            // y[row * y_stride + matrix row - first matrix row of first_strip]
  int64_t y_stride;
};

// How the cache stores keys and values. A block holds 16 tokens of one KV head, keys before values.
enum KvFormat {
  kKvF16 = 0,  // keys [head_dim][16] halves; values [16][head_dim] halves
  kKvInt8 =
      1,  // keys [columns / 4][16][4] codes, 16 f32 key scales, 16 f32 value scales; values [16][columns]
          // codes; columns is head_dim rounded up to a multiple of 4, the rest zero
};

struct IsaAttention {
  const float* q;  // [rows, group, head_dim] with q_stride floats from row to row; already scaled
  int64_t q_stride;
  float* out;  // same shape
  int64_t out_stride;
  int32_t
      rows;  // 1 to kAttentionRows, or kPromptAttentionRows; positions first_position, first_position + 1, ...
  int32_t group;
  int32_t head_dim;  // at most kMaxInt8HeadDim with kKvInt8
  int32_t first_position;
  int32_t kv_format;
  int32_t values_offset;        // bytes from a block's keys to its values
  const unsigned char* blocks;  // of the layer and KV head
  int64_t block_stride;         // bytes from one block to the next
  const int32_t* block_table;
  const unsigned char* next_blocks;  // of the call that will probably follow: a hint
  const int32_t* next_block_table;   // from its first chunk on
  int32_t next_num_blocks;           // 0 for none
  int32_t first_chunk;               // only with partials, which are a part of the work
  int32_t last_chunk;                // one past
  float* partials;  // null: all chunks, into out. Else the states of all chunks, for merge_attention
  float* scratch;   // AttentionScratchFloats(), on 64 bytes
  int32_t window;   // keys that a row sees, its own included; 0: all before it. Not with prompt_attention
  float soft_cap;   // of scores; 0: none. Not with prompt_attention
};

using AttentionKernel = void (*)(const IsaAttention* args);

// One head of `rows` rows: its first `dims` values are rotated, then all of them scaled.
struct IsaRope {
  float* x;
  int64_t x_stride;            // floats
  const float* const* tables;  // of each row: `dims` cosines, then `dims` sines
  int32_t rows;
  int32_t dims;
  int32_t head_dim;
  float factor;
};

// Products of rows that were a request's prompt, where the CPU has a faster way than one that also suits few rows: bits of its
// own. A row never changes sides, so they are a matter of the request alone.
struct PromptKernels {
  int32_t tile_rows;
  int64_t block_bytes;
  // Quantized formats only; of the last tile's rows there may be fewer.
  void (*matmul)(const IsaMatMul* args);
  // `rows` rows of n values, `stride` floats apart, into columns [first_column, first_column + n) of rows t, t + 1, ... of a tile of
  // `columns`; all three multiples of 32. `thresholds`: null, or values of row i beyond thresholds[i] are too large to share a
  // scale with others, if that makes a difference here.
  void (*to_tile)(const float* x, int64_t stride, int32_t rows, int32_t first_column, int32_t n,
                  unsigned char* tile, int32_t columns, int32_t t, const float* thresholds);
  // The same of 32 columns of SiLU(gate) * up, for the rows of `tiles` from the first on.
  void (*silu_multiply)(const float* gate, const float* up, int64_t stride, int32_t rows,
                        int32_t first_column, unsigned char* tiles, int32_t columns, const float* thresholds);
  // As the probes of KernelTable: the products' own instruction. Null: that of `probe_int8`.
  int64_t (*probe)(int64_t rounds, float* sink);
};

struct KernelTable {
  const char* name;
  int32_t strip_rows;
  int32_t byte_bias;  // added to signed byte codes when packing
  void (*matmul)(const IsaMatMul* args);
  // Rows of n values, `stride` floats apart, into rows t, t + 1, ... of a tile of tile_rows; n is a multiple of 32.
  // `thresholds`: as in PromptKernels.
  void (*quantize)(const float* x, int64_t stride, int32_t rows, int32_t n, unsigned char* tile,
                   int32_t tile_rows, int32_t t, const float* thresholds);
  // Returns the root of the mean square that it divided by.
  float (*rms_norm)(const float* x, const float* weight, int32_t n, float epsilon, float* out);
  void (*silu_multiply)(const float* gate, const float* up, int32_t n, float* out);
  // Of the pairs (2i, 2i + 1): every cosine twice, sines as (-s, s).
  void (*rope)(const IsaRope* args);
  void (*scale)(float* x, int32_t n, float factor);
  void (*exp)(const float* x, int32_t n, float* out);
  // The largest value, or NaN when one is NaN or +infinity.
  float (*maximum)(const float* x, int32_t n);
  void (*to_half)(const float* x, int32_t n, uint16_t* out);
  // One head's codes and their scale. Writes n rounded up to 16 codes.
  float (*quantize_head)(const float* x, int32_t n, signed char* codes);
  AttentionKernel attention;
  // Merges args->partials into args->out, once all chunks are there.
  void (*merge_attention)(const IsaAttention* args);
  // Machine probes: multiply-accumulates done, or a checksum of the bytes read.
  int64_t (*probe_int8)(int64_t rounds, int32_t* sink);
  int64_t (*probe_fp32)(int64_t rounds, float* sink);
  uint64_t (*probe_read)(const unsigned char* data, int64_t bytes);
  const PromptKernels* prompts;  // null: prompts are multiplied like everything else
  // Null, or for a prompt's rows: all chunks, with bf16 queries, keys, values and weights, which is faster and has bits of its
  // own; head_dim a multiple of 32, no partials.
  AttentionKernel prompt_attention;
  // What some architectures need and llama does not.
  void (*add)(const float* x, int32_t n, float* sum);
  void (*gelu_multiply)(const float* gate, const float* up, int32_t n, float* out);  // its tanh form
  // x = cap * tanh(x / cap); NaN where x is not finite.
  void (*soft_cap)(float* x, int32_t n, float cap);
  // Of the pairs (i, i + dims / 2): half as many cosines and sines, each with as much room.
  void (*rope_halves)(const IsaRope* args);
};

// Beside the table, because a CPU may have it or not with any path.
struct Bf16Probe {
  int64_t (*run)(int64_t rounds, float* sink);
};

}  // namespace weir
