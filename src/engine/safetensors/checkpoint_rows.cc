#include "engine/safetensors/checkpoint_rows.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "engine/tensor/dequantize.h"
#include "engine/tensor/quantize.h"

namespace weir {

void CheckpointRows::Add(const TensorInfo& tensor, const StoredTensor& stored, float added) {
  sources_[tensor.name] = {stored.data, stored.dtype, added};
}

void CheckpointRows::Add(const TensorInfo& tensor, std::vector<float> values) {
  values_.push_back(std::move(values));
  sources_[tensor.name] = {std::as_bytes(std::span<const float>(values_.back())), DType::kF32, 0.0f};
}

std::span<const std::byte> CheckpointRows::Rows(const TensorInfo& tensor, uint64_t first, uint64_t last,
                                                std::vector<std::byte>* buffer) const {
  const Source& source = sources_.at(tensor.name);
  const uint64_t stored_row = tensor.row_length() * Traits(source.dtype).block_bytes;
  const auto stored = source.data.subspan(first * stored_row, (last - first) * stored_row);
  if (source.dtype == tensor.dtype && source.added == 0.0f) return stored;
  CHECK(buffer != nullptr);
  std::vector<float> values = DequantizeAll(source.dtype, stored, (last - first) * tensor.row_length());
  for (float& value : values) value += source.added;
  buffer->resize((last - first) * tensor.row_bytes());
  QuantizeRows(tensor.dtype, values, *buffer);
  return *buffer;
}

}  // namespace weir
