#include "engine/kvcache/kv_storage.h"

#include <fmt/format.h>

#include "base/checked.h"

namespace weir {

std::string_view KvDtypeName(KvDtype dtype) { return dtype == KvDtype::kInt8 ? "int8" : "fp16"; }

Result<KvStorage> KvStorage::Create(const KvShape& shape, int num_blocks) {
  const CheckedSize layer_bytes = CheckedSize(static_cast<uint64_t>(num_blocks)) *
                                  CheckedSize(shape.num_kv_heads) * CheckedSize(shape.bytes_per_head_block());
  const CheckedSize bytes = layer_bytes * CheckedSize(shape.num_layers);
  if (num_blocks <= 0 || !bytes.FitsIn(uint64_t{1} << 46)) {
    return ResourceExhausted(fmt::format(
        "a KV cache of {} blocks for {} layers of {} heads x {} cannot be addressed; choose a smaller "
        "context (--max-model-len) or fewer sequences (--max-num-seqs)",
        num_blocks, shape.num_layers, shape.num_kv_heads, shape.head_dim));
  }
  KvStorage storage;
  storage.shape_ = shape;
  storage.num_blocks_ = num_blocks;
  storage.layer_bytes_ = static_cast<int64_t>(*layer_bytes.value());
  WEIR_ASSIGN_OR_RETURN(storage.buffer_, AlignedBuffer::Allocate(*bytes.value()));
  return storage;
}

}  // namespace weir
