#include "engine/kvcache/kv_storage.h"

#include <fmt/format.h>

#include "base/checked.h"

namespace weir {

Result<KvStorage> KvStorage::Create(const KvShape& shape, int num_blocks) {
  const CheckedSize layer_elements = CheckedSize(static_cast<uint64_t>(num_blocks)) *
                                     CheckedSize(shape.num_kv_heads) * CheckedSize(kBlockSize) *
                                     CheckedSize(shape.head_dim);
  const CheckedSize bytes =
      layer_elements * CheckedSize(2 * sizeof(uint16_t)) * CheckedSize(shape.num_layers);
  if (num_blocks <= 0 || !bytes.FitsIn(uint64_t{1} << 46)) {
    return ResourceExhausted(fmt::format(
        "a KV cache of {} blocks for {} layers of {} heads x {} cannot be addressed; choose a smaller "
        "context (--max-model-len) or fewer sequences (--max-num-seqs)",
        num_blocks, shape.num_layers, shape.num_kv_heads, shape.head_dim));
  }
  KvStorage storage;
  storage.shape_ = shape;
  storage.num_blocks_ = num_blocks;
  storage.layer_elements_ = static_cast<int64_t>(*layer_elements.value());
  WEIR_ASSIGN_OR_RETURN(storage.buffer_, AlignedBuffer::Allocate(*bytes.value()));
  return storage;
}

}  // namespace weir
