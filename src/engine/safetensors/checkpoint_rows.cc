#include "engine/safetensors/checkpoint_rows.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/tensor/dequantize.h"
#include "engine/tensor/quantize.h"

namespace weir {

void CheckpointRows::Add(const TensorInfo& tensor, const StoredTensor& stored, float added) {
  sources_[tensor.name] = {{stored.data}, stored.dtype, added, true};
}

void CheckpointRows::Add(const TensorInfo& tensor, const std::vector<const StoredTensor*>& stored) {
  Source& source = sources_[tensor.name] = {{}, stored.front()->dtype, 0.0f, true};
  for (const StoredTensor* part : stored) source.parts.push_back(part->data);
}

void CheckpointRows::Add(const TensorInfo& tensor, std::vector<float> values) {
  values_.push_back(std::move(values));
  sources_[tensor.name] = {{std::as_bytes(std::span<const float>(values_.back()))}, DType::kF32, 0.0f, false};
}

std::span<const std::byte> CheckpointRows::Rows(const TensorInfo& tensor, uint64_t first, uint64_t last,
                                                std::vector<std::byte>* buffer) const {
  const Source& source = sources_.at(tensor.name);
  const uint64_t rows_per_part = tensor.num_rows() / source.parts.size();
  if (first == last) return {};
  if (first / rows_per_part == (last - 1) / rows_per_part)
    return Convert(tensor, source, source.Rows(tensor, first, last), buffer);
  std::vector<std::byte> joined;
  std::vector<std::byte> converted;
  for (uint64_t from = first; from < last;) {
    const uint64_t to = std::min(last, (from / rows_per_part + 1) * rows_per_part);
    const auto rows = Convert(tensor, source, source.Rows(tensor, from, to), &converted);
    joined.insert(joined.end(), rows.begin(), rows.end());
    from = to;
  }
  CHECK(buffer != nullptr);
  *buffer = std::move(joined);
  return *buffer;
}

std::span<const std::byte> CheckpointRows::Mapped(const TensorInfo& tensor, uint64_t first,
                                                  uint64_t last) const {
  const Source& source = sources_.at(tensor.name);
  const uint64_t rows_per_part = tensor.num_rows() / source.parts.size();
  if (!source.mapped || first == last || first / rows_per_part != (last - 1) / rows_per_part) return {};
  return source.Rows(tensor, first, last);
}

std::span<const std::byte> CheckpointRows::Source::Rows(const TensorInfo& tensor, uint64_t first,
                                                        uint64_t last) const {
  const uint64_t stored_row = tensor.row_length() * Traits(dtype).block_bytes;
  const uint64_t rows_per_part = tensor.num_rows() / parts.size();
  return parts[first / rows_per_part].subspan(first % rows_per_part * stored_row,
                                              (last - first) * stored_row);
}

std::span<const std::byte> CheckpointRows::Convert(const TensorInfo& tensor, const Source& source,
                                                   std::span<const std::byte> stored,
                                                   std::vector<std::byte>* buffer) {
  if (source.dtype == tensor.dtype && source.added == 0.0f) return stored;
  CHECK(buffer != nullptr);
  const uint64_t stored_row = tensor.row_length() * Traits(source.dtype).block_bytes;
  const uint64_t num_rows = stored.size() / stored_row;
  std::vector<float> values = DequantizeAll(source.dtype, stored, num_rows * tensor.row_length());
  for (float& value : values) value += source.added;
  buffer->resize(num_rows * tensor.row_bytes());
  QuantizeRows(tensor.dtype, values, *buffer);
  return *buffer;
}

}  // namespace weir
