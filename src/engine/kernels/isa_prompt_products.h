// Products of a prompt's rows in int8, included inside the anonymous namespace of the AVX-512 ISA files that have VNNI and bf16,
// after isa_prompt_tiles.h and isa_prompt_unpack.h.
//
// Shapes    activations in tiles of PromptBlock; two strips are unpacked at a time, up to 18 blocks of them
// Threads   pure functions
// Source    docs/KERNELS.md, "Prompts in int8"
//
// A block adds
//   offset * (sum of its values), as bf16, two blocks at once,
//   w * outlier, and
//   scale * activation scale * (integer sum of code * activation code).
// The power of two in the activation scale is the exponent of a float that the integer sum is added to (kShift): additions do not share
// the pipes of products.
// The instruction wants unsigned codes on one side: the activations' are 128 too large, which the integer sum starts with.
// A result is one chain per chunk of columns, first of the offsets, then block by block of the outlier and the integer sum: its bits
// depend neither on the other rows nor on how rows and strips are cut.
#pragma once

enum { kBlocksPerAsking = 8 };

// The blocks of two strips that come next, on their way into the second-level cache: a few lines now and then, since asking for all
// at once would wait for memory.
struct StripsAhead {
  const unsigned char* strips[2];
  int32_t lines;  // of each
  int32_t asked;
  int32_t at_once;

  void Ask() {
    const int32_t until = asked + at_once < lines ? asked + at_once : lines;
    for (; asked < until; ++asked)
      for (const unsigned char* strip : strips)
        __builtin_prefetch(strip + 64 * static_cast<int64_t>(asked), 0, kIntoL2);
  }
};

// Of each block the column that was taken apart last, as floats: all tiles tend to have their outliers in the same.
struct ColumnsAtHand {
  alignas(64) float weights[kChunkBlocks][2][kStripRows];
  unsigned char columns[kChunkBlocks];

  void Clear() { __builtin_memset(columns, kNoOutlier, sizeof(columns)); }
};

// What a tile of T rows and S strips have in common. `first`: the block of the tile where those of the strips begin.
struct PromptProduct {
  const UnpackedStrip* strips;
  PromptTile tile;
  int32_t first;
  int32_t blocks;
  OffsetKind offset_kind;
  bool two_sums;
  StripsAhead* ahead;
  ColumnsAtHand* at_hand;
};

// A column of a strip's block as floats.
inline __attribute__((always_inline)) __m512 WeightsAt(const PromptProduct& p, const UnpackedStrip& strip,
                                                       int32_t b, int32_t column) {
  const __m512i up =
      _mm512_sll_epi32(_mm512_load_si512(strip.codes[b][column / 4]), _mm_cvtsi32_si128(24 - column % 4 * 8));
  const __m512i code = _mm512_srai_epi32(up, 24);
  const __m512 scale = _mm512_load_ps(strip.scales[b][p.two_sums ? column / 16 : 0][0]);
  const __m512 weights = _mm512_mul_ps(_mm512_cvtepi32_ps(code), scale);
  if (p.offset_kind == kNoOffsets) return weights;
  const bool per_half = p.offset_kind == kOffsetPerHalf;
  const int shift = (per_half ? column >= 16 : b % 2 == 1) ? 0 : 16;
  const __m512i offset = _mm512_and_si512(
      _mm512_sll_epi32(_mm512_load_si512(strip.offsets[per_half ? b : b / 2]), _mm_cvtsi32_si128(shift)),
      _mm512_set1_epi32(-65536));
  return _mm512_add_ps(weights, _mm512_castsi512_ps(offset));
}

// Not inline: it is the exception, and there are six places.
template <int S>
__attribute__((noinline)) void TakeColumn(const PromptProduct& p, int32_t b, unsigned char column) {
  p.at_hand->columns[b] = column;
  for (int s = 0; s < S; ++s) _mm512_store_ps(p.at_hand->weights[b][s], WeightsAt(p, p.strips[s], b, column));
}

// Column `column` of block b, of S strips.
template <int S>
inline __attribute__((always_inline))
const float (&ColumnAtHand(const PromptProduct& p, int32_t b, unsigned char column))[2][kStripRows] {
  if (p.at_hand->columns[b] != column) TakeColumn<S>(p, b, column);
  return p.at_hand->weights[b];
}

// Sums that are in registers: of T rows and S strips.
template <int T, int S>
struct Sums {
  __m512 of[S][T];
};

inline __attribute__((always_inline)) __m512i PairAt(const uint16_t (&pair)[2]) {
  int32_t both;
  __builtin_memcpy(&both, pair, 4);
  return _mm512_set1_epi32(both);
}

template <int T, int S>
inline __attribute__((always_inline)) void AddOffsets(const PromptProduct& p, Sums<T, S>& sums) {
  const auto add = [&](int32_t at, int t, __m512i pair) __attribute__((always_inline)) {
#pragma GCC unroll 2
    for (int s = 0; s < S; ++s)
      sums.of[s][t] = _mm512_dpbf16_ps(sums.of[s][t], (__m512bh)pair,
                                       (__m512bh)_mm512_load_si512(p.strips[s].offsets[at]));
  };
  if (p.offset_kind == kOffsetPerHalf) {
    for (int32_t b = 0; b < p.blocks; ++b)
#pragma GCC unroll 6
      for (int t = 0; t < T; ++t) add(b, t, PairAt(p.tile.half_sums[p.first + b][t]));
    return;
  }
  int32_t b = 0;
  for (; b + 2 <= p.blocks; b += 2)
#pragma GCC unroll 6
    for (int t = 0; t < T; ++t) add(b / 2, t, PairAt(p.tile.blocks[p.first + b].sums[t]));
  // The last block, if it has no other beside it: nobody wrote the other's sum.
  if (b < p.blocks)
#pragma GCC unroll 6
    for (int t = 0; t < T; ++t)
      add(b / 2, t, _mm512_and_si512(PairAt(p.tile.blocks[p.first + b].sums[t]), _mm512_set1_epi32(0xffff)));
}

// Code vectors First to Last - 1 of block b.
template <int T, int S, int First, int Last>
inline __attribute__((always_inline)) void AddCodes(const PromptProduct& p, int32_t b, Sums<T, S>& sums) {
  const PromptBlock& block = p.tile.blocks[p.first + b];
  __m512i whole[S][T];
#pragma GCC unroll 2
  for (int s = 0; s < S; ++s)
#pragma GCC unroll 6
    for (int t = 0; t < T; ++t) whole[s][t] = _mm512_load_si512(p.strips[s].starts[b][First / 4]);
  const int32_t* activations = reinterpret_cast<const int32_t*>(block.codes);
#pragma GCC unroll 8
  for (int v = First; v < Last; ++v) {
    __m512i codes[S];
#pragma GCC unroll 2
    for (int s = 0; s < S; ++s) codes[s] = _mm512_load_si512(p.strips[s].codes[b][v]);
#pragma GCC unroll 6
    for (int t = 0; t < T; ++t) {
      const __m512i four = _mm512_set1_epi32(activations[8 * t + v]);
#pragma GCC unroll 2
      for (int s = 0; s < S; ++s) whole[s][t] = _mm512_dpbusd_epi32(whole[s][t], four, codes[s]);
    }
  }
#pragma GCC unroll 6
  for (int t = 0; t < T; ++t) {
    const __m512 shift = _mm512_set1_ps(block.shifts[t]);
#pragma GCC unroll 2
    for (int s = 0; s < S; ++s) {
      const __m512i shifted = _mm512_add_epi32(_mm512_castps_si512(shift), whole[s][t]);
      const __m512 scale = _mm512_load_ps(p.strips[s].scales[b][First / 4][block.steps[t]]);
      sums.of[s][t] =
          _mm512_fmadd_ps(_mm512_sub_ps(_mm512_castsi512_ps(shifted), shift), scale, sums.of[s][t]);
    }
  }
}

// What was taken out of block b. Beside its products: a branch that nobody could foresee then costs little, as there is much to do
// meanwhile, and its line of the tile is at hand.
template <int T, int S>
inline __attribute__((always_inline)) void AddOutliers(const PromptProduct& p, int32_t b, Sums<T, S>& sums) {
  constexpr uint64_t kEach = 0x0101010101010101u & ((uint64_t{1} << 8 * T) - 1);
  uint64_t columns;
  __builtin_memcpy(&columns, p.tile.blocks[p.first + b].outlier_columns, 8);
  columns &= kEach * 0xff;
  if (__builtin_expect(columns == kEach * kNoOutlier, 1)) return;
  const auto add = [&](int t, const float(&weights)[2][kStripRows]) __attribute__((always_inline)) {
    const __m512 outlier = _mm512_set1_ps(p.tile.outliers[p.first + b][t]);
#pragma GCC unroll 2
    for (int s = 0; s < S; ++s)
      sums.of[s][t] = _mm512_fmadd_ps(_mm512_load_ps(weights[s]), outlier, sums.of[s][t]);
  };
  // One branch where all rows have theirs in the same column.
  const auto first = static_cast<unsigned char>(columns);
  if (columns == kEach * first) {
    const auto& weights = ColumnAtHand<S>(p, b, first);
#pragma GCC unroll 6
    for (int t = 0; t < T; ++t) add(t, weights);
    return;
  }
#pragma GCC unroll 6
  for (int t = 0; t < T; ++t) {
    const auto column = static_cast<unsigned char>(columns >> 8 * t);
    if (column != kNoOutlier) add(t, ColumnAtHand<S>(p, b, column));
  }
}

template <int T, int S>
void MultiplyTile(const PromptProduct& p, float* y, int64_t y_stride, int32_t valid, bool accumulate) {
  Sums<T, S> sums;
#pragma GCC unroll 2
  for (int s = 0; s < S; ++s)
#pragma GCC unroll 6
    for (int t = 0; t < T; ++t) sums.of[s][t] = _mm512_setzero_ps();
  if (p.offset_kind != kNoOffsets) AddOffsets<T, S>(p, sums);
  for (int32_t b = 0; b < p.blocks;) {
    p.ahead->Ask();
    const int32_t end = b + kBlocksPerAsking < p.blocks ? b + kBlocksPerAsking : p.blocks;
    if (p.two_sums) {
      for (; b < end; ++b) {
        AddOutliers<T, S>(p, b, sums);
        AddCodes<T, S, 0, 4>(p, b, sums);
        AddCodes<T, S, 4, 8>(p, b, sums);
      }
    } else {
      for (; b < end; ++b) {
        AddOutliers<T, S>(p, b, sums);
        AddCodes<T, S, 0, 8>(p, b, sums);
      }
    }
  }
  const auto store = [&](const auto& one) __attribute__((always_inline)) {
#pragma GCC unroll 6
    for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
      for (int s = 0; s < S; ++s) one(y + t * y_stride + s * kStripRows, sums.of[s][t], s);
  };
  // Masks are for the last strips only: sums took 3 % longer to get into the residual stream through them.
  if (valid < S * kStripRows)
    store([&](float* to, __m512 sum, int s) { StoreRows(to, sum, valid - s * kStripRows, accumulate); });
  else if (accumulate)
    store([](float* to, __m512 sum, int) { _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), sum)); });
  else
    store([](float* to, __m512 sum, int) { _mm512_storeu_ps(to, sum); });
}

template <int S>
void MultiplyTileOf(int32_t rows, const PromptProduct& p, float* y, int64_t y_stride, int32_t valid,
                    bool accumulate) {
  switch (rows) {
    case 1:
      return MultiplyTile<1, S>(p, y, y_stride, valid, accumulate);
    case 2:
      return MultiplyTile<2, S>(p, y, y_stride, valid, accumulate);
    case 3:
      return MultiplyTile<3, S>(p, y, y_stride, valid, accumulate);
    case 4:
      return MultiplyTile<4, S>(p, y, y_stride, valid, accumulate);
    case 5:
      return MultiplyTile<5, S>(p, y, y_stride, valid, accumulate);
    default:
      return MultiplyTile<6, S>(p, y, y_stride, valid, accumulate);
  }
}

// A range of strips and chunks, in the order in which they are multiplied: chunks outside, strips inside, as a chunk's activations
// then stay in the second-level cache for all strips.
struct StripWalk {
  const IsaMatMul* args;
  int32_t chunk_blocks;
  int32_t chunk;  // its first block
  int32_t strip;

  int32_t blocks() const { return args->in / 32; }
  int32_t blocks_of_chunk() const {
    return blocks() - chunk < chunk_blocks ? blocks() - chunk : chunk_blocks;
  }
  int32_t num_strips() const { return args->last_strip - strip < 2 ? 1 : 2; }
  bool done() const { return chunk >= blocks(); }
  void Advance() {
    strip += 2;
    if (strip < args->last_strip) return;
    strip = args->first_strip;
    chunk += chunk_blocks;
  }
};

// Chunks of even length, of whole super-blocks or pairs of blocks.
template <int Format>
int32_t ChunkBlocks(int32_t blocks) {
  constexpr int32_t kUnit = TraitsOf(Format).super == 1 ? 2 : TraitsOf(Format).super;
  constexpr int32_t kMost = kChunkBlocks / kUnit * kUnit;
  const int32_t chunks = (blocks + kMost - 1) / kMost;
  return (blocks + chunks * kUnit - 1) / (chunks * kUnit) * kUnit;
}

template <int Format>
StripsAhead AheadOf(StripWalk walk) {
  constexpr FormatTraits kTraits = TraitsOf(Format);
  walk.Advance();
  const int64_t super_bytes = SuperBytes(kTraits) * kStripRows;
  const IsaMatMul& args = *walk.args;
  const unsigned char* strip =
      args.strips + walk.strip * args.strip_bytes + walk.chunk / kTraits.super * super_bytes;
  int64_t strip_bytes = args.strip_bytes;
  if (walk.done()) {
    // Probably of the same format, if it is known at all.
    strip = args.next_strips != nullptr ? args.next_strips : args.strips + args.last_strip * args.strip_bytes;
    if (args.next_strips != nullptr) strip_bytes = args.next_strip_bytes;
    walk.chunk = 0;
  }
  const int64_t bytes = (walk.blocks_of_chunk() + kTraits.super - 1) / kTraits.super * super_bytes;
  return {{strip, strip + strip_bytes}, static_cast<int32_t>((bytes + 63) / 64), 0, 0};
}

template <int Format>
void PromptStripRange(const IsaMatMul& args) {
  UnpackedStrip strips[2];
  PromptProduct p;
  ColumnsAtHand at_hand;
  p.at_hand = &at_hand;
  p.strips = strips;
  p.offset_kind = OffsetKindOf(Format);
  p.two_sums = HasTwoSums(Format);
  const int32_t tiles = (args.rows + kPromptRows - 1) / kPromptRows;
  for (StripWalk walk = {&args, ChunkBlocks<Format>(args.in / 32), 0, args.first_strip}; !walk.done();
       walk.Advance()) {
    p.first = walk.chunk;
    p.blocks = walk.blocks_of_chunk();
    for (int j = 0; j < walk.num_strips(); ++j)
      Unpack<Format>(args.strips + (walk.strip + j) * args.strip_bytes, p.first, p.blocks, &strips[j]);
    StripsAhead ahead = AheadOf<Format>(walk);
    const int32_t askings = tiles * ((p.blocks + kBlocksPerAsking - 1) / kBlocksPerAsking);
    ahead.at_once = (ahead.lines + askings - 1) / askings;
    p.ahead = &ahead;
    at_hand.Clear();
    const int32_t valid = args.out - walk.strip * kStripRows;
    const bool accumulate = p.first > 0 || args.accumulate != 0;
    for (int32_t i = 0; i < tiles; ++i) {
      p.tile = PromptTileAt(const_cast<unsigned char*>(args.activations) +
                                i * walk.blocks() * static_cast<int64_t>(kPromptBlockBytes),
                            walk.blocks());
      const int32_t row = i * kPromptRows;
      const int32_t rows =
          args.rows - row < kPromptRows ? args.rows - row : static_cast<int32_t>(kPromptRows);
      float* const y =
          args.y + row * args.y_stride + static_cast<int64_t>(walk.strip - args.first_strip) * kStripRows;
      (walk.num_strips() == 2 ? MultiplyTileOf<2> : MultiplyTileOf<1>)(rows, p, y, args.y_stride, valid,
                                                                       accumulate);
    }
  }
}

void PromptMatMul(const IsaMatMul* args) {
  switch (args->format) {
    case kPackedNibbleMin:
      return PromptStripRange<kPackedNibbleMin>(*args);
    case kPackedNibbleSymmetric:
      return PromptStripRange<kPackedNibbleSymmetric>(*args);
    case kPackedByteSymmetric:
      return PromptStripRange<kPackedByteSymmetric>(*args);
    case kPackedQ4K:
      return PromptStripRange<kPackedQ4K>(*args);
    case kPackedQ6K:
      return PromptStripRange<kPackedQ6K>(*args);
    case kPackedQ5_0:
      return PromptStripRange<kPackedQ5_0>(*args);
    case kPackedQ5_1:
      return PromptStripRange<kPackedQ5_1>(*args);
    case kPackedQ5K:
      return PromptStripRange<kPackedQ5K>(*args);
    case kPackedQ2K:
      return PromptStripRange<kPackedQ2K>(*args);
    case kPackedQ3K:
      return PromptStripRange<kPackedQ3K>(*args);
    case kPackedIq4Nl:
      return PromptStripRange<kPackedIq4Nl>(*args);
    default:
      return PromptStripRange<kPackedIq4Xs>(*args);
  }
}
