// What a layer of the llama architecture does with heads: projection, rotation, the KV cache, attention.
#include <algorithm>
#include <cstring>

#include "engine/kvcache/key_tokens.h"
#include "engine/model/llama.h"

namespace weir {
namespace {

constexpr int kPiece = 64;  // values of a head at a time

// Keys lie with their tokens side by side, values one after another.
void StoreHalves(const KernelTable& kernels, const float* x, int head_dim, uint16_t* to, int64_t stride) {
  if (stride == 1) return kernels.to_half(x, head_dim, to);
  uint16_t half[kPiece];
  for (int first = 0; first < head_dim; first += kPiece) {
    const int count = std::min(kPiece, head_dim - first);
    kernels.to_half(x + first, count, half);
    for (int d = 0; d < count; ++d) to[int64_t{first + d} * stride] = half[d];
  }
}

// The keys of a block's 16 tokens.
void StoreBlockOfKeys(const KernelTable& kernels, const float* keys, int64_t stride, int head_dim,
                      uint16_t* block) {
  uint16_t halves[kBlockSize][kPiece];
  for (int first = 0; first < head_dim; first += kPiece) {
    const int count = std::min(kPiece, head_dim - first);
    for (int token = 0; token < kBlockSize; ++token)
      kernels.to_half(keys + token * stride + first, count, halves[token]);
    TurnKeys(halves[0], kPiece, count, block + int64_t{first} * kBlockSize);
  }
}

// Four codes stay together; `stride` is from four to the next.
float StoreCodes(const KernelTable& kernels, const float* x, int head_dim, unsigned char* to,
                 int64_t stride) {
  signed char codes[kMaxInt8HeadDim];
  const float scale = kernels.quantize_head(x, head_dim, codes);
  for (int d = 0; d < head_dim; d += 4) std::memcpy(to + d / 4 * stride, codes + d, 4);
  return scale;
}

}  // namespace

int LlamaModel::HeadUnitColumns(int heads) const {
  return config_.head_dim % kernels_->strip_rows == 0 ? config_.head_dim : config_.head_dim * heads;
}

void LlamaModel::ProjectHeads(const Batch& batch, const LayerWeights& layer, KvStorage& kv, int layer_index,
                              Heads heads) {
  const int rows = batch.num_rows();
  const int dim = config_.head_dim;
  const int q_unit = HeadUnitColumns(config_.num_heads);
  const int kv_unit = HeadUnitColumns(config_.num_kv_heads);
  const int q_units = config_.num_heads * dim / q_unit;
  const int kv_units = config_.num_kv_heads * dim / kv_unit;
  const Activations input{scratch_.normed_tiles, scratch_.normed, rows, config_.hidden_size,
                          num_prompt_rows_};
  Enter(StepSegment::kMatmulQkv);
  if (!lora_.empty())
    lora_.Shrink(*pool_, layer_index, {LoraTarget::kQ, LoraTarget::kK, LoraTarget::kV}, scratch_.normed,
                 config_.hidden_size);
  const auto strips_of = [&](int unit) -> NextStrips {
    if (unit < q_units) return {&layer.q, unit * q_unit / layer.q.strip_rows};
    const int index = (unit - q_units) % kv_units;
    return {unit - q_units < kv_units ? &layer.k : &layer.v, index * kv_unit / layer.k.strip_rows};
  };
  // Units are those of q, then of k, then of v.
  const int first_unit = heads == Heads::kKeysAndValues ? q_units : 0;
  const int end = heads == Heads::kQueries ? q_units : q_units + 2 * kv_units;
  RunOnRanges(end - first_unit, [&](RowRange range, int of_range, int thread_index, int next_of_range) {
    Enter(StepSegment::kMatmulQkv, thread_index);
    const int unit = first_unit + of_range;
    const int next_unit = next_of_range < 0 ? -1 : first_unit + next_of_range;
    const ThreadScratch& thread = scratch_.threads[static_cast<size_t>(thread_index)];
    const Activations part = RowsOf(*kernels_, input, range.first, range.count);
    const NextStrips next =
        next_unit >= 0 ? strips_of(next_unit) : BeginningOf(layer.o, StripsOfSum(layer.o), thread_index);
    const auto multiply = [&](const PackedMatrix& matrix, LoraTarget target, int index, int columns, float* y,
                              int64_t stride) {
      const int first = index * columns / matrix.strip_rows;
      const int last = ((index + 1) * columns + matrix.strip_rows - 1) / matrix.strip_rows;
      MultiplyStrips(*kernels_, matrix, part, first, last, y, stride, false, thread.strip, next);
      lora_.Add(layer_index, target, range.first, range.count, first, last, y, stride);
    };
    if (unit < q_units) {
      const int64_t stride = int64_t{config_.num_heads} * dim;
      multiply(layer.q, LoraTarget::kQ, unit, q_unit,
               scratch_.queries + range.first * stride + int64_t{unit} * q_unit, stride);
      Enter(StepSegment::kRopeKvWrite, thread_index);
      for (int i = 0; i < q_unit / dim; ++i)
        FinishHeads({scratch_.queries + range.first * stride + int64_t{unit} * q_unit + i * dim, stride,
                     unit * q_unit / dim + i, range},
                    KindOf(layer_index).rope, layer.q_bias, layer.q_norm, config_.attention_scale);
      return;
    }
    const bool is_key = unit - q_units < kv_units;
    const int index = (unit - q_units) % kv_units;
    multiply(is_key ? layer.k : layer.v, is_key ? LoraTarget::kK : LoraTarget::kV, index, kv_unit,
             thread.columns, kv_unit);
    Enter(StepSegment::kRopeKvWrite, thread_index);
    for (int i = 0; i < kv_unit / dim; ++i) {
      const int head = index * kv_unit / dim + i;
      float* columns = thread.columns + int64_t{i} * dim;
      if (is_key)
        StoreKeyHead(batch, kv, layer, layer_index, head, range, columns, kv_unit);
      else
        StoreValueHead(batch, kv, layer, layer_index, head, range, columns, kv_unit);
    }
  });
}

void LlamaModel::FinishHeads(const HeadRows& heads, int rope, const std::vector<float>& bias,
                             const std::vector<float>& norm, float factor) const {
  const int dim = config_.head_dim;
  if (!bias.empty() || !norm.empty())
    for (int i = 0; i < heads.rows.count; ++i) {
      float* const x = heads.x + i * heads.stride;
      if (!bias.empty()) kernels_->add(bias.data() + int64_t{heads.head} * dim, dim, x);
      if (!norm.empty()) kernels_->rms_norm(x, norm.data(), dim, static_cast<float>(config_.rms_epsilon), x);
    }
  const float* const* tables =
      scratch_.rope.data() + std::max(rope, 0) * scratch_.max_rows + heads.rows.first;
  const IsaRope args{heads.x, heads.stride, tables, heads.rows.count, rope < 0 ? 0 : config_.rope_dims,
                     dim,     factor};
  (config_.rope_pairs == RopePairs::kNeighbours ? kernels_->rope : kernels_->rope_halves)(&args);
}

void LlamaModel::StoreKeyHead(const Batch& batch, KvStorage& kv, const LayerWeights& layer, int layer_index,
                              int head, RowRange rows, float* keys, int stride) {
  unsigned char* blocks = kv.blocks(layer_index, head);
  const bool turns_blocks = kv.shape().dtype == KvDtype::kF16 && config_.head_dim % 8 == 0;
  const int end = rows.first + rows.count;
  for (int row = rows.first; row < end;) {
    float* key = keys + int64_t{row - rows.first} * stride;
    const int64_t slot = batch.slots[static_cast<size_t>(row)];
    unsigned char* block = blocks + slot / kBlockSize * kv.block_stride();
    const int64_t token = slot % kBlockSize;
    const int last = row + kBlockSize - 1;
    const bool whole = turns_blocks && token == 0 && last < end &&
                       batch.slots[static_cast<size_t>(last)] == slot + kBlockSize - 1;
    const int count = whole ? kBlockSize : 1;
    FinishHeads({key, stride, head, {row, count}}, KindOf(layer_index).rope, layer.k_bias, layer.k_norm,
                1.0f);
    row += count;
    if (whole) {
      StoreBlockOfKeys(*kernels_, key, stride, config_.head_dim, reinterpret_cast<uint16_t*>(block));
    } else if (kv.shape().dtype == KvDtype::kF16) {
      StoreHalves(*kernels_, key, config_.head_dim, reinterpret_cast<uint16_t*>(block) + token, kBlockSize);
    } else {
      const float scale = StoreCodes(*kernels_, key, config_.head_dim, block + 4 * token, 4 * kBlockSize);
      reinterpret_cast<float*>(block + kv.shape().key_scales_offset())[token] = scale;
    }
  }
}

void LlamaModel::StoreValueHead(const Batch& batch, KvStorage& kv, const LayerWeights& layer, int layer_index,
                                int head, RowRange rows, float* values, int stride) {
  unsigned char* blocks = kv.blocks(layer_index, head);
  const int64_t row_bytes = kv.shape().value_row_bytes();
  for (int row = rows.first; row < rows.first + rows.count; ++row) {
    float* value = values + int64_t{row - rows.first} * stride;
    if (!layer.v_bias.empty())
      kernels_->add(layer.v_bias.data() + int64_t{head} * config_.head_dim, config_.head_dim, value);
    const int64_t slot = batch.slots[static_cast<size_t>(row)];
    unsigned char* block = blocks + slot / kBlockSize * kv.block_stride();
    const int64_t token = slot % kBlockSize;
    unsigned char* to = block + kv.shape().values_offset() + token * row_bytes;
    if (kv.shape().dtype == KvDtype::kF16) {
      StoreHalves(*kernels_, value, config_.head_dim, reinterpret_cast<uint16_t*>(to), 1);
      continue;
    }
    const float scale = StoreCodes(*kernels_, value, config_.head_dim, to, 4);
    reinterpret_cast<float*>(block + kv.shape().key_scales_offset())[kBlockSize + token] = scale;
  }
}

void LlamaModel::Attend(const Batch& batch, KvStorage& kv, int layer_index, const LayerWeights& layer) {
  Enter(StepSegment::kAttention);
  const int group = config_.num_heads / config_.num_kv_heads;
  const int64_t stride = int64_t{config_.num_heads} * config_.head_dim;
  const int columns = group * config_.head_dim;
  const Activations into{scratch_.attended_tiles, scratch_.attended, batch.num_rows(),
                         static_cast<int32_t>(stride), num_prompt_rows_};
  // Else the whole row is quantized when all its heads are there.
  const bool quantize_here = columns % 32 == 0 && layer.o.quantized();
  // Adapters multiply the floats.
  const bool keeps_floats = !quantize_here || lora_.Adapts(layer_index, LoraTarget::kO);
  const std::vector<AttentionTask>& tasks = attention_.tasks();
  const auto tile_of = [&](const AttentionTask& task) -> const AttentionTile& {
    return attention_.tiles()[static_cast<size_t>(task.tile)];
  };
  pool_->Run(static_cast<int>(tasks.size()), [&](int index, int thread, int after) {
    Enter(StepSegment::kAttention, thread);
    const AttentionTask& task = tasks[static_cast<size_t>(index)];
    const AttentionTile& tile = tile_of(task);
    const int row = tile.sequence->first_row + tile.first_row;
    const int64_t first_column = int64_t{tile.kv_head} * columns;
    IsaAttention args;
    args.q = scratch_.queries + row * stride + first_column;
    args.q_stride = stride;
    args.out = keeps_floats ? scratch_.attended + row * stride + first_column
                            : scratch_.threads[static_cast<size_t>(thread)].attended;
    args.out_stride = keeps_floats ? stride : columns;
    args.rows = tile.num_rows;
    args.group = group;
    args.head_dim = config_.head_dim;
    args.first_position = batch.positions[static_cast<size_t>(row)];
    args.kv_format = kv.shape().dtype == KvDtype::kInt8 ? kKvInt8 : kKvF16;
    args.values_offset = static_cast<int32_t>(kv.shape().values_offset());
    args.blocks = kv.blocks(layer_index, tile.kv_head);
    args.block_stride = kv.block_stride();
    args.block_table = block_ids_ + tile.sequence->first_block;
    const AttentionTask& next_task = tasks[static_cast<size_t>(after >= 0 ? after : index)];
    const AttentionTile& next = tile_of(next_task);
    const int next_block = next_task.first_chunk * (kAttentionChunk / kBlockSize);
    args.next_blocks = kv.blocks(layer_index, next.kv_head);
    args.next_block_table = block_ids_ + next.sequence->first_block + next_block;
    args.next_num_blocks = next.sequence->num_blocks - next_block;
    args.first_chunk = task.first_chunk;
    args.last_chunk = task.last_chunk;
    args.partials = tile.partials;
    args.scratch = scratch_.threads[static_cast<size_t>(thread)].attention;
    args.window = KindOf(layer_index).window;
    args.soft_cap = config_.attention_soft_cap;
    (tile.is_prompt ? kernels_->prompt_attention : kernels_->attention)(&args);
    if (tile.partials != nullptr) {
      if (!attention_.FinishTask(tile)) return;
      kernels_->merge_attention(&args);
    }
    if (!quantize_here) return;
    Enter(StepSegment::kNormQuantize, thread);
    QuantizeRows(*kernels_, args.out, args.out_stride, row, tile.num_rows, static_cast<int32_t>(first_column),
                 columns, into);
  });
  if (quantize_here || !layer.o.quantized()) return;
  Enter(StepSegment::kNormQuantize);
  QuantizeRows(*kernels_, scratch_.attended, stride, 0, batch.num_rows(), 0, static_cast<int32_t>(stride),
               into);
}

}  // namespace weir
