// The bytes behind the blocks: keys and values of every layer, as halves or as int8 codes with a scale per token.
//
// Shapes    per layer [num_blocks, num_kv_heads, block]; a block holds kBlockSize tokens of one head, keys before values
//           fp16: keys [head_dim][kBlockSize] (16 scores are FMAs with tokens in the lanes), values [kBlockSize][head_dim]
//           int8: keys [columns / 4][kBlockSize][4], key scales f32 [kBlockSize], value scales f32 [kBlockSize], values
//           [kBlockSize][columns]; columns is head_dim rounded up to a multiple of 4
// Owns      one AlignedBuffer
// Errors    Create: RESOURCE_EXHAUSTED
// Threads   engine thread and its workers, which write disjoint slots
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "engine/kvcache/block_pool.h"
#include "engine/tensor/aligned_buffer.h"

namespace weir {

enum class KvDtype { kF16, kInt8 };

std::string_view KvDtypeName(KvDtype dtype);  // "fp16", "int8"

struct KvShape {
  int num_layers = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  KvDtype dtype = KvDtype::kF16;

  // Bytes, within the block of one head.
  int64_t value_row_bytes() const {
    return is_int8() ? (int64_t{head_dim} + 3) / 4 * 4 : int64_t{2} * head_dim;
  }
  int64_t key_scales_offset() const { return kBlockSize * value_row_bytes(); }  // int8 only
  int64_t values_offset() const { return kBlockSize * (value_row_bytes() + (is_int8() ? 8 : 0)); }
  int64_t bytes_per_head_block() const { return values_offset() + kBlockSize * value_row_bytes(); }
  // K and V of all layers and heads, scales included.
  int64_t bytes_per_block() const { return bytes_per_head_block() * num_layers * num_kv_heads; }
  int64_t bytes_per_token() const { return bytes_per_block() / kBlockSize; }

 private:
  bool is_int8() const { return dtype == KvDtype::kInt8; }
};

class KvStorage {
 public:
  KvStorage() = default;
  static Result<KvStorage> Create(const KvShape& shape, int num_blocks);

  const KvShape& shape() const { return shape_; }
  int num_blocks() const { return num_blocks_; }
  int64_t bytes() const { return static_cast<int64_t>(buffer_.size()); }

  // First block of a head in a layer; the next block is block_stride() bytes further.
  unsigned char* blocks(int layer, int head) const {
    return buffer_.as<unsigned char>() + layer * layer_bytes_ + head * shape_.bytes_per_head_block();
  }
  int64_t block_stride() const { return shape_.num_kv_heads * shape_.bytes_per_head_block(); }

 private:
  KvShape shape_;
  int num_blocks_ = 0;
  int64_t layer_bytes_ = 0;
  AlignedBuffer buffer_;
};

}  // namespace weir
