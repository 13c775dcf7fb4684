#include "engine/gguf/tensor_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "base/checked.h"
#include "base/utf8.h"

namespace weir {
namespace {

constexpr uint32_t kMaxDims = 4;
constexpr size_t kMaxNameLength = 63;
constexpr uint64_t kMaxElements = uint64_t{1} << 62;

Status Bad(const TensorInfo& tensor, const std::string& what) {
  return DataLoss(fmt::format("tensor \"{}\" {}", QuoteForMessage(tensor.name), what));
}

Status CutOff(uint64_t number, uint64_t offset) {
  return DataLoss(fmt::format("directory entry of tensor {} at byte {} is cut off by the end of the file",
                              number, offset));
}

// Bytes of the tensor, or why there is no such tensor.
Result<uint64_t> JudgeShape(const TensorInfo& tensor, const DTypeTraits& traits) {
  CheckedSize elements(1);
  for (const uint64_t dim : tensor.dims) {
    if (dim == 0) return Bad(tensor, "has a dimension of 0");
    elements = elements * dim;
  }
  if (!elements.FitsIn(kMaxElements)) {
    return Bad(tensor, fmt::format("has dimensions [{}], whose product is more than any file holds",
                                   fmt::join(tensor.dims, ", ")));
  }
  if (tensor.row_length() % traits.block_size != 0) {
    return Bad(tensor, fmt::format("is {} with a row of {}, which is no multiple of {}", traits.name,
                                   tensor.row_length(), traits.block_size));
  }
  const CheckedSize bytes = CheckedSize(*elements.value() / traits.block_size) * traits.block_bytes;
  if (!bytes.valid()) return Bad(tensor, "has a size in bytes that no 64-bit number holds");
  return *bytes.value();
}

// `entry_name` stays a view into the file; tensor.name is a copy that messages and callers keep.
Result<TensorInfo> ReadEntry(ByteReader& reader, uint64_t number, std::string_view* entry_name,
                             uint64_t* bytes) {
  const uint64_t start = reader.offset();
  TensorInfo tensor;
  if (!reader.TakeString(entry_name)) return CutOff(number, start);
  if (entry_name->empty()) return DataLoss(fmt::format("tensor {} at byte {} has no name", number, start));
  tensor.name = std::string(entry_name->substr(0, kMaxNameLength));
  if (entry_name->size() > kMaxNameLength) {
    return Bad(tensor, fmt::format("at byte {} has a name of {} bytes, expected at most {}", start,
                                   entry_name->size(), kMaxNameLength));
  }
  uint32_t num_dims;
  if (!reader.Read(&num_dims)) return CutOff(number, start);
  if (num_dims == 0 || num_dims > kMaxDims) {
    return Bad(tensor,
               fmt::format("at byte {} has {} dimensions, expected 1 to {}", start, num_dims, kMaxDims));
  }
  tensor.dims.resize(num_dims);
  for (uint64_t& dim : tensor.dims) {
    if (!reader.Read(&dim)) return CutOff(number, start);
  }
  uint32_t type;
  if (!reader.Read(&type) || !reader.Read(&tensor.offset)) return CutOff(number, start);
  const DTypeTraits* traits = FindDType(type);
  if (traits == nullptr) {
    return Unimplemented(fmt::format("tensor \"{}\" has type {}, which is not supported; supported are {}",
                                     QuoteForMessage(tensor.name), type, SupportedDTypes()));
  }
  tensor.dtype = traits->dtype;
  WEIR_ASSIGN_OR_RETURN(*bytes, JudgeShape(tensor, *traits));
  return tensor;
}

// Two tensors that share bytes mean that at least one of them is not what its name says.
Status RefuseOverlap(const std::vector<TensorInfo>& tensors) {
  std::vector<uint32_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return tensors[a].offset < tensors[b].offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    const TensorInfo& before = tensors[order[i - 1]];
    const TensorInfo& tensor = tensors[order[i]];
    if (tensor.offset < before.offset + before.data.size()) {
      return Bad(tensor, fmt::format("at byte {} overlaps \"{}\", which covers bytes {} to {}", tensor.offset,
                                     QuoteForMessage(before.name), before.offset,
                                     before.offset + before.data.size()));
    }
  }
  return OkStatus();
}

}  // namespace

Result<TensorDirectory> ReadTensors(ByteReader& reader, uint64_t num_tensors, uint64_t alignment,
                                    std::span<const std::byte> file) {
  TensorDirectory out;
  out.tensors.reserve(num_tensors);
  out.index.Reserve(num_tensors);
  std::vector<uint64_t> sizes(num_tensors);
  for (uint64_t i = 0; i < num_tensors; ++i) {
    std::string_view name;
    WEIR_ASSIGN_OR_RETURN(TensorInfo tensor, ReadEntry(reader, i, &name, &sizes[i]));
    out.index.Add(name, static_cast<uint32_t>(i));
    out.tensors.push_back(std::move(tensor));
  }
  if (const auto twice = out.index.Finish()) {
    return Bad(out.tensors[twice->first],
               fmt::format("is there twice, as numbers {} and {} of the directory, with data at "
                           "offsets {} and {}",
                           twice->first, twice->second, out.tensors[twice->first].offset,
                           out.tensors[twice->second].offset));
  }
  const CheckedSize data_start = CheckedSize(reader.offset()).AlignUp(alignment);
  for (uint64_t i = 0; i < num_tensors; ++i) {
    TensorInfo& tensor = out.tensors[i];
    if (tensor.offset % alignment != 0) {
      return Bad(tensor, fmt::format("has data offset {}, which is no multiple of the alignment {}",
                                     tensor.offset, alignment));
    }
    const CheckedSize start = data_start + tensor.offset;
    const CheckedSize end = start + sizes[i];
    if (!end.FitsIn(file.size())) {
      return Bad(
          tensor,
          fmt::format(
              "needs {} bytes at data offset {}, but the file ends at byte {}; it is cut off or damaged",
              sizes[i], tensor.offset, file.size()));
    }
    tensor.offset = *start.value();
    tensor.data = file.subspan(tensor.offset, sizes[i]);
  }
  WEIR_RETURN_IF_ERROR(RefuseOverlap(out.tensors));
  return out;
}

}  // namespace weir
