#include "engine/model/scratch.h"

#include <algorithm>

#include "engine/kernels/attention.h"
#include "engine/kernels/matmul.h"

namespace weir {
namespace {

// Hands out pieces of a buffer that does not exist yet: called twice, first to learn the size.
class Carver {
 public:
  explicit Carver(std::byte* base) : base_(base) {}

  template <typename T>
  void Take(T*& pointer, int64_t count) {
    if (base_ != nullptr) pointer = reinterpret_cast<T*>(base_ + bytes_);
    bytes_ += (count * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
  }
  int64_t bytes() const { return bytes_; }

 private:
  std::byte* base_;
  int64_t bytes_ = 0;
};

int64_t Carve(Scratch& scratch, std::byte* base, const KernelTable& kernels, const ModelConfig& config,
              int64_t rows, int64_t unit_columns, int64_t partial_floats, int64_t strip_bytes) {
  Carver carver(base);
  const int64_t q = int64_t{config.num_heads} * config.head_dim;
  carver.Take(scratch.hidden, rows * config.hidden_size);
  carver.Take(scratch.normed, rows * config.hidden_size);
  carver.Take(scratch.attended, rows * q);
  const int64_t pairs = rows * config.experts_per_row;
  const int64_t shares = std::min<int64_t>(config.num_experts, pairs);
  // Of layers with one feed-forward for all rows and of those with experts, whichever there are.
  const int64_t plain_columns = config.any_plain_ffn() ? config.ffn_size : 0;
  const int64_t expert_columns = config.num_experts > 0 ? config.expert_ffn_size : 0;
  carver.Take(scratch.ffn, std::max(rows * plain_columns, pairs * expert_columns));
  if (config.post_norms) carver.Take(scratch.sublayer, rows * config.hidden_size);
  // What a layer has done with lends its memory to what comes next: the less there is, the more of it stays in the caches.
  carver.Take(scratch.normed_tiles, MixedTileBytes(kernels, rows, std::max<int64_t>(config.hidden_size, q)));
  scratch.attended_tiles = scratch.normed_tiles;
  carver.Take(scratch.ffn_tiles, std::max({MixedTileBytes(kernels, rows, plain_columns),
                                           ExpertTileBytes(kernels, pairs, shares, expert_columns),
                                           rows * q * int64_t{sizeof(float)}}));
  scratch.queries = reinterpret_cast<float*>(scratch.ffn_tiles);
  if (config.num_experts > 0) {
    carver.Take(scratch.router_logits, rows * config.num_experts);
    carver.Take(scratch.pairs, pairs * config.hidden_size);
    carver.Take(scratch.pair_tiles, ExpertTileBytes(kernels, pairs, shares, config.hidden_size));
  }
  carver.Take(scratch.partials, partial_floats);
  carver.Take(scratch.rope_rows, static_cast<int64_t>(config.ropes.size()) * rows * 2 * config.rope_dims);
  for (ThreadScratch& thread : scratch.threads) {
    carver.Take(thread.columns, 2 * rows * unit_columns);
    carver.Take(thread.rows, int64_t{kMaxTileRows} * config.hidden_size);
    carver.Take(thread.attended, std::min<int64_t>(rows, kPromptAttentionRows) * q / config.num_kv_heads);
    carver.Take(thread.attention,
                AttentionScratchFloats(config.head_dim, config.num_heads / config.num_kv_heads));
    if (strip_bytes > 0) carver.Take(thread.strip, strip_bytes);
  }
  return carver.bytes();
}

}  // namespace

Result<Scratch> Scratch::Create(const KernelTable& kernels, const ModelConfig& config, int max_rows,
                                int num_threads, int unit_columns, int64_t partial_floats,
                                int64_t strip_bytes) {
  Scratch scratch;
  scratch.threads.resize(static_cast<size_t>(num_threads));
  scratch.max_rows = max_rows;
  scratch.rope.resize(config.ropes.size() * static_cast<size_t>(max_rows));
  scratch.row_rms.resize(static_cast<size_t>(max_rows));
  scratch.thresholds.resize(static_cast<size_t>(max_rows));
  const int64_t bytes =
      Carve(scratch, nullptr, kernels, config, max_rows, unit_columns, partial_floats, strip_bytes);
  WEIR_ASSIGN_OR_RETURN(scratch.buffer, AlignedBuffer::Allocate(static_cast<size_t>(bytes)));
  Carve(scratch, scratch.buffer.data(), kernels, config, max_rows, unit_columns, partial_floats, strip_bytes);
  return scratch;
}

}  // namespace weir
