// Attention over paged keys and values, included inside the anonymous namespace of every ISA file after
// isa_attention_tiles.h.
//
// Shapes    a query's state is [padded head_dim] accumulators, 16 lanes of a sum, a maximum, and is
//           AttentionStateFloats() long. scratch: attention.h
// Threads   pure functions
//
// Keys are taken in chunks of 256 at fixed positions. A chunk's state is computed on its own, whoever does it, and the
// states are merged in order: so a row's bits depend neither on the other rows of the tile, nor on where its prompt was
// cut, nor on how its chunks were shared out. A key beyond a row's position is never touched: stale cache content
// cannot reach it.
#pragma once

struct QueryState {
  float* acc;
  float* sum;  // 16 lanes
  float* maximum;
};

// What one call works with; `dim` is the padded one.
struct AttentionScratch {
  float* tile;     // [head_dim][64] keys, later [64][dim] values
  float* queries;  // [queries][dim] floats, or their codes
  QueryCodes codes;
  float* scores;   // [queries][256]
  float* running;  // [queries] states
  float* chunk;    // [queries] states
  int32_t dim;
  int32_t state_floats;

  inline QueryState State(float* states, int64_t i) const {
    float* acc = states + i * state_floats;
    return {acc, acc + dim, acc + dim + 16};
  }
};

static inline AttentionScratch PrepareAttention(const IsaAttention& args) {
  AttentionScratch s;
  const int64_t queries = static_cast<int64_t>(args.rows) * args.group;
  s.dim = (args.head_dim + 15) / 16 * 16;
  s.state_floats = s.dim + 32;
  s.tile = args.scratch;
  s.queries = s.tile + static_cast<int64_t>(s.dim) * kAttentionKeys;
  s.scores = s.queries + queries * s.dim;
  s.running = s.scores + queries * kAttentionChunk;
  s.chunk = s.running + queries * s.state_floats;
  s.codes = {reinterpret_cast<unsigned char*>(s.queries), nullptr, s.chunk + queries * s.state_floats, s.dim};
  s.codes.starts = reinterpret_cast<int32_t*>(s.codes.scales + queries);
  for (int32_t row = 0; row < args.rows; ++row)
    for (int32_t g = 0; g < args.group; ++g) {
      const float* q = args.q + row * args.q_stride + static_cast<int64_t>(g) * args.head_dim;
      const int64_t i = static_cast<int64_t>(row) * args.group + g;
      if (args.kv_format == kKvInt8) {
        QuantizeQuery(q, args.head_dim, s.codes, i);
        continue;
      }
      float* copy = s.queries + i * s.dim;
      int32_t d = 0;
      for (; d + 16 <= args.head_dim; d += 16) Store(copy + d, Load(q + d));
      if (d < args.head_dim) Store(copy + d, LoadPart(q + d, args.head_dim - d));
    }
  return s;
}

static inline int32_t Fours(const IsaAttention& args) { return (args.head_dim + 3) / 4; }

// The blocks of a chunk in the order in which they are read, and what is read after them.
struct ChunkBlocks {
  enum { kMax = kAttentionChunk / 16, kAhead = 12 };
  const unsigned char* read[2 * kMax + kAhead];  // keys, values, what follows
  int32_t num_keys;
  int num_blocks;

  template <bool kAskAhead>
  inline KeyBlocks<kAskAhead> Keys(int first) const {
    return {read + first, read + first + kAhead};
  }
  inline const unsigned char* Values(int b) const { return read[num_blocks + b]; }
  inline const unsigned char* AfterValues(int b) const { return read[num_blocks + b + kAhead]; }
};

static inline ChunkBlocks FindBlocks(const IsaAttention& args, int32_t chunk) {
  ChunkBlocks found;
  const int32_t left = args.first_position + args.rows - chunk * kAttentionChunk;
  found.num_keys = left < kAttentionChunk ? left : static_cast<int32_t>(kAttentionChunk);
  found.num_blocks = (found.num_keys + 15) / 16;
  const int32_t* table = args.block_table + chunk * ChunkBlocks::kMax;
  for (int b = 0; b < found.num_blocks; ++b) {
    found.read[b] = args.blocks + table[b] * args.block_stride;
    found.read[found.num_blocks + b] = found.read[b] + args.values_offset;
  }
  // What follows is read in the same order: the keys of its first chunk, then their values.
  const bool goes_on = left > kAttentionChunk && chunk + 1 < args.last_chunk;
  const unsigned char* const after = goes_on ? args.blocks : args.next_blocks;
  const int32_t* const after_table = goes_on ? table + found.num_blocks : args.next_block_table;
  const int32_t blocks_left = goes_on ? (left + 15) / 16 - found.num_blocks : args.next_num_blocks;
  const int32_t in_chunk = blocks_left < ChunkBlocks::kMax ? blocks_left : int32_t{ChunkBlocks::kMax};
  for (int b = 0; b < ChunkBlocks::kAhead; ++b) {
    const unsigned char*& ahead = found.read[2 * found.num_blocks + b];
    if (b < in_chunk)
      ahead = after + after_table[b] * args.block_stride;
    else if (b < 2 * in_chunk)
      ahead = after + after_table[b - in_chunk] * args.block_stride + args.values_offset;
    else
      ahead = found.read[0];
  }
  return found;
}

// The first key of a chunk that a row sees through its window.
static inline int32_t FirstSeen(const IsaAttention& args, int32_t row, int32_t first_key) {
  if (args.window <= 0) return 0;
  const int32_t first = args.first_position + row + 1 - args.window - first_key;
  return first > 0 ? first : 0;
}

// The state of a row that sees nothing of a chunk; finite, so that merging makes no NaN.
static inline void SeeNothing(const QueryState& state) {
  Store(state.sum, Set(0.0f));
  *state.maximum = -1e30f;
}

// Scores of keys [first, valid) become the weights of values; what they sum to goes into the state.
template <int kFormat>
static inline void Softmax(float* scores, const ChunkBlocks& blocks, int32_t first, int32_t valid,
                           float soft_cap, const QueryState& state) {
  const int num_blocks = (valid + 15) / 16;
  if (soft_cap > 0.0f) SoftCap(scores, valid, soft_cap);
  if (first >= valid) {
    for (int b = 0; b < num_blocks; ++b) Store(scores + 16 * b, Set(0.0f));
    return SeeNothing(state);
  }
  for (int32_t i = 0; i < first; ++i) scores[i] = -__builtin_inff();
  for (int32_t i = valid; i < 16 * num_blocks; ++i) scores[i] = -__builtin_inff();
  Lanes largest = Load(scores);
  for (int b = 1; b < num_blocks; ++b) largest = Max(largest, Load(scores + 16 * b));
  const float maximum = MaxLanes(largest);
  Lanes sum = Set(0.0f);
  for (int b = 0; b < num_blocks; ++b) {
    const Lanes weight = Exp(Sub(Load(scores + 16 * b), Set(maximum)));
    sum = Add(sum, weight);
    if constexpr (kFormat == kKvInt8)
      Store(scores + 16 * b, Mul(weight, Load(reinterpret_cast<const float*>(blocks.Values(b)) - 16)));
    else
      Store(scores + 16 * b, weight);
  }
  Store(state.sum, sum);
  *state.maximum = maximum;
}

// A lone row reads the cache as it is: a float tile would cost more than it saves.
template <int kFormat>
static void AttendOneRow(const IsaAttention& args, const AttentionScratch& s, int32_t chunk, float* states) {
  const ChunkBlocks blocks = FindBlocks(args, chunk);
  for (int b = 0; b < blocks.num_blocks; b += 4) {
    const int count = blocks.num_blocks - b < 4 ? blocks.num_blocks - b : 4;
    if constexpr (kFormat == kKvInt8)
      ScoreBlocks(0, args.group, count, s.codes, blocks.Keys<true>(b), Fours(args), s.scores + 16 * b,
                  kAttentionChunk);
    else
      Multiply<false>(args.group, count, s.queries, s.dim, blocks.Keys<true>(b), args.head_dim,
                      s.scores + 16 * b, kAttentionChunk);
  }
  const int32_t first_seen = FirstSeen(args, 0, chunk * kAttentionChunk);
  for (int32_t g = 0; g < args.group; ++g) {
    const QueryState state = s.State(states, g);
    Softmax<kFormat>(s.scores + g * kAttentionChunk, blocks, first_seen, blocks.num_keys, args.soft_cap,
                     state);
    for (int32_t d = 0; d < s.dim; d += 16) Store(state.acc + d, Set(0.0f));
  }
  for (int b = 0; b < blocks.num_blocks; ++b) {
    const ValueRows<kFormat> values = {blocks.Values(b), blocks.AfterValues(b),
                                       args.head_dim * (kFormat == kKvInt8 ? 1 : 2)};
    const int32_t depth = blocks.num_keys - 16 * b < 16 ? blocks.num_keys - 16 * b : 16;
    Multiply<true>(args.group, s.dim / 16, s.scores + 16 * b, kAttentionChunk, values, depth, states,
                   s.state_floats);
  }
}

// Many rows read the same keys and values, so these are turned into floats once. 64 keys from `first` on.
static void LoadKeyTile(const IsaAttention& args, const AttentionScratch& s, const ChunkBlocks& blocks,
                        int32_t first) {
  for (int b = first / 16; b < blocks.num_blocks && b < first / 16 + 4; ++b) {
    const uint16_t* k = reinterpret_cast<const uint16_t*>(blocks.read[b]);
    float* column = s.tile + 16 * b - first;
    for (int32_t d = 0; d < args.head_dim; ++d) Store(column + d * kAttentionKeys, LoadHalf(k + 16 * d));
  }
}

template <int kFormat>
static inline void LoadValueRow(const unsigned char* v, int32_t head_dim, float* row) {
  constexpr int kBytes = kFormat == kKvInt8 ? 1 : 2;
  const auto load = [](const unsigned char* p) {
    if constexpr (kFormat == kKvInt8)
      return LoadBytes(p);
    else
      return LoadHalf(reinterpret_cast<const uint16_t*>(p));
  };
  int32_t d = 0;
  for (; d + 16 <= head_dim; d += 16) Store(row + d, load(v + d * kBytes));
  if (d == head_dim) return;
  unsigned char part[32] = {};
  for (int32_t i = 0; i < (head_dim - d) * kBytes; ++i) part[i] = v[d * kBytes + i];
  Store(row + d, load(part));
}

template <int kFormat>
static void LoadValueTile(const IsaAttention& args, const AttentionScratch& s, const ChunkBlocks& blocks,
                          int32_t first, int32_t num_keys) {
  const int64_t stride = kFormat == kKvInt8 ? int64_t{4} * Fours(args) : int64_t{2} * args.head_dim;
  for (int32_t t = 0; t < num_keys; ++t)
    LoadValueRow<kFormat>(blocks.Values((first + t) / 16) + t % 16 * stride, args.head_dim,
                          s.tile + static_cast<int64_t>(t) * s.dim);
}

// Rows [first, last) of a tile that see `valid` keys each of the 64 at hand.
struct RowRange {
  int32_t first;
  int32_t last;
  int32_t valid;
};

// Calls body(range) for all rows that see a key of the 64 from `first_key` on: one by one along the diagonal, then
// those that see them all together.
template <typename Body>
static inline void ForRows(const IsaAttention& args, int32_t first_key, const Body& body) {
  int32_t row = first_key > args.first_position ? first_key - args.first_position : 0;
  for (; row < args.rows; ++row) {
    const int32_t seen = args.first_position + row + 1 - first_key;
    if (seen >= kAttentionKeys) return body(RowRange{row, args.rows, kAttentionKeys});
    body(RowRange{row, row + 1, seen});
  }
}

template <int kFormat>
static void AttendRows(const IsaAttention& args, const AttentionScratch& s, int32_t chunk, float* states) {
  const ChunkBlocks blocks = FindBlocks(args, chunk);
  const int32_t first_key = chunk * kAttentionChunk;
  for (int32_t first = 0; first < blocks.num_keys; first += kAttentionKeys) {
    if constexpr (kFormat == kKvF16) LoadKeyTile(args, s, blocks, first);
    ForRows(args, first_key + first, [&](const RowRange& range) {
      const int64_t query = static_cast<int64_t>(range.first) * args.group;
      const int32_t queries = (range.last - range.first) * args.group;
      float* scores = s.scores + query * kAttentionChunk + first;
      const int columns = (range.valid + 15) / 16;
      if constexpr (kFormat == kKvInt8)
        ScoreBlocks(query, queries, columns, s.codes, blocks.Keys<false>(first / 16), Fours(args), scores,
                    kAttentionChunk);
      else
        Multiply<false>(queries, columns, s.queries + query * s.dim, s.dim,
                        FloatColumns{s.tile, kAttentionKeys}, args.head_dim, scores, kAttentionChunk);
    });
  }
  for (int32_t row = 0; row < args.rows; ++row) {
    const int32_t seen = args.first_position + row + 1 - first_key;
    if (seen <= 0) continue;
    const int32_t valid = seen < kAttentionChunk ? seen : static_cast<int32_t>(kAttentionChunk);
    for (int64_t i = static_cast<int64_t>(row) * args.group; i < (row + 1) * int64_t{args.group}; ++i) {
      const QueryState state = s.State(states, i);
      Softmax<kFormat>(s.scores + i * kAttentionChunk, blocks, FirstSeen(args, row, first_key), valid,
                       args.soft_cap, state);
      for (int32_t d = 0; d < s.dim; d += 16) Store(state.acc + d, Set(0.0f));
    }
  }
  for (int32_t first = 0; first < blocks.num_keys; first += kAttentionKeys) {
    const int32_t left = blocks.num_keys - first;
    LoadValueTile<kFormat>(args, s, blocks, first,
                           left < kAttentionKeys ? left : static_cast<int32_t>(kAttentionKeys));
    ForRows(args, first_key + first, [&](const RowRange& range) {
      const int64_t query = static_cast<int64_t>(range.first) * args.group;
      Multiply<true>((range.last - range.first) * args.group, s.dim / 16,
                     s.scores + query * kAttentionChunk + first, kAttentionChunk, FloatColumns{s.tile, s.dim},
                     range.valid, states + query * s.state_floats, s.state_floats);
    });
  }
}

static inline void MergeState(const QueryState& into, const QueryState& chunk, int32_t dim) {
  const float before = *into.maximum;
  const float now = *chunk.maximum > before ? *chunk.maximum : before;
  const Lanes old_factor = Exp(Set(before - now));
  const Lanes new_factor = Exp(Set(*chunk.maximum - now));
  *into.maximum = now;
  Store(into.sum, Fma(Load(chunk.sum), new_factor, Mul(Load(into.sum), old_factor)));
  for (int32_t d = 0; d < dim; d += 16)
    Store(into.acc + d, Fma(Load(chunk.acc + d), new_factor, Mul(Load(into.acc + d), old_factor)));
}

static inline void MergeChunk(const IsaAttention& args, const AttentionScratch& s, int32_t chunk,
                              float* running, float* states) {
  const int32_t hidden = chunk * kAttentionChunk - args.first_position;  // rows that see nothing of it
  for (int64_t i = hidden > 0 ? int64_t{hidden} * args.group : 0; i < int64_t{args.rows} * args.group; ++i)
    MergeState(s.State(running, i), s.State(states, i), s.dim);
}

static inline void FinishAttention(const IsaAttention& args, const AttentionScratch& s, float* running) {
  for (int32_t row = 0; row < args.rows; ++row)
    for (int32_t g = 0; g < args.group; ++g) {
      const QueryState state = s.State(running, static_cast<int64_t>(row) * args.group + g);
      const Lanes inverse = Set(1.0f / SumLanes(Load(state.sum)));
      float* out = args.out + row * args.out_stride + static_cast<int64_t>(g) * args.head_dim;
      for (int32_t d = 0; d < args.head_dim; d += 16) {
        const Lanes v = Mul(Load(state.acc + d), inverse);
        if (d + 16 <= args.head_dim)
          Store(out + d, v);
        else
          StorePart(out + d, v, args.head_dim - d);
      }
    }
}

static inline int32_t NumChunks(const IsaAttention& args) {
  return (args.first_position + args.rows + kAttentionChunk - 1) / kAttentionChunk;
}

// Chunks before it are seen by no row of the call.
static inline int32_t FirstChunk(const IsaAttention& args) { return FirstSeen(args, 0, 0) / kAttentionChunk; }

static void SeeNothingOfChunk(const IsaAttention& args, const AttentionScratch& s, float* states) {
  for (int64_t i = 0; i < int64_t{args.rows} * args.group; ++i) {
    const QueryState state = s.State(states, i);
    SeeNothing(state);
    for (int32_t d = 0; d < s.dim; d += 16) Store(state.acc + d, Set(0.0f));
  }
}

template <int kFormat>
static void AttendChunks(IsaAttention args) {
  const AttentionScratch s = PrepareAttention(args);
  const int64_t states_floats = int64_t{args.rows} * args.group * s.state_floats;
  const bool whole = args.partials == nullptr;
  const int32_t first_seen = FirstChunk(args);
  if (whole) {
    args.first_chunk = first_seen;
    args.last_chunk = NumChunks(args);
  }
  for (int32_t chunk = args.first_chunk; chunk < args.last_chunk; ++chunk) {
    float* states = !whole                ? args.partials + chunk * states_floats
                    : chunk == first_seen ? s.running
                                          : s.chunk;
    if (chunk < first_seen)
      SeeNothingOfChunk(args, s, states);
    else if (args.rows == 1 && args.head_dim % 16 == 0)
      AttendOneRow<kFormat>(args, s, chunk, states);
    else
      AttendRows<kFormat>(args, s, chunk, states);
    if (whole && chunk > first_seen) MergeChunk(args, s, chunk, s.running, states);
  }
  if (whole) FinishAttention(args, s, s.running);
}

static void Attention(const IsaAttention* args) {
  if (args->kv_format == kKvInt8)
    AttendChunks<kKvInt8>(*args);
  else
    AttendChunks<kKvF16>(*args);
}

static void MergeAttention(const IsaAttention* args) {
  AttentionScratch s{};
  s.dim = (args->head_dim + 15) / 16 * 16;
  s.state_floats = s.dim + 32;
  const int64_t states_floats = int64_t{args->rows} * args->group * s.state_floats;
  for (int32_t chunk = 1; chunk < NumChunks(*args); ++chunk)
    MergeChunk(*args, s, chunk, args->partials, args->partials + chunk * states_floats);
  FinishAttention(*args, s, args->partials);
}
