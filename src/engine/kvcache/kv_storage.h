// The bytes behind the blocks: fp16 keys and values of every layer.
//
// Shapes    per layer, K and V apart: [num_blocks, num_kv_heads, block of kBlockSize x head_dim]. Inside a block K lies
//           [head_dim][kBlockSize] (16 scores are FMAs with tokens in the lanes) and V lies [kBlockSize][head_dim]
// Owns      one AlignedBuffer
// Errors    Create: RESOURCE_EXHAUSTED
// Threads   engine thread and its workers, which write disjoint slots
#pragma once

#include <cstdint>

#include "base/result.h"
#include "engine/kvcache/block_pool.h"
#include "engine/tensor/aligned_buffer.h"

namespace weir {

struct KvShape {
  int num_layers = 0;
  int num_kv_heads = 0;
  int head_dim = 0;

  // K and V of all layers.
  int64_t bytes_per_token() const { return int64_t{2} * 2 * num_layers * num_kv_heads * head_dim; }
  int64_t bytes_per_block() const { return bytes_per_token() * kBlockSize; }
};

class KvStorage {
 public:
  KvStorage() = default;
  static Result<KvStorage> Create(const KvShape& shape, int num_blocks);

  const KvShape& shape() const { return shape_; }
  int num_blocks() const { return num_blocks_; }
  int64_t bytes() const { return static_cast<int64_t>(buffer_.size()); }

  // First element of all blocks of a layer; block b, head h starts at (b * num_kv_heads + h) * block_elements().
  uint16_t* keys(int layer) const { return buffer_.as<uint16_t>() + (2 * int64_t{layer}) * layer_elements_; }
  uint16_t* values(int layer) const {
    return buffer_.as<uint16_t>() + (2 * int64_t{layer} + 1) * layer_elements_;
  }
  int64_t block_elements() const { return int64_t{kBlockSize} * shape_.head_dim; }

 private:
  KvShape shape_;
  int num_blocks_ = 0;
  int64_t layer_elements_ = 0;
  AlignedBuffer buffer_;
};

}  // namespace weir
