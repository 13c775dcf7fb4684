#include "engine/safetensors/safetensors_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "base/json.h"
#include "base/utf8.h"

namespace weir {
namespace {

constexpr uint64_t kLengthBytes = 8;
// Ten times the largest that people publish; a parsed header takes several times its text.
constexpr uint64_t kMaxHeaderBytes = uint64_t{16} << 20;
constexpr size_t kMaxDims = 8;
constexpr size_t kMaxNameBytes = 512;
constexpr uint64_t kMaxElements = uint64_t{1} << 62;

struct StoredType {
  std::string_view name;
  DType dtype;
};
constexpr StoredType kTypes[] = {{"F32", DType::kF32}, {"F16", DType::kF16}, {"BF16", DType::kBF16}};

Status Bad(const std::string& what) {
  return DataLoss(fmt::format("{}; the file is damaged or of another kind, fetch it again", what));
}

Status BadTensor(std::string_view name, const std::string& what) {
  return Bad(fmt::format("tensor \"{}\" {}", QuoteForMessage(name), what));
}

Result<uint64_t> ReadNumber(std::string_view name, const char* what, const Json& value) {
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  if (value.is_number_integer() && value.get<int64_t>() >= 0)
    return static_cast<uint64_t>(value.get<int64_t>());
  return BadTensor(name, fmt::format("has a {} that is no whole number from 0 on", what));
}

Result<std::vector<uint64_t>> ReadShape(std::string_view name, const Json* shape) {
  if (shape == nullptr || !shape->is_array()) return BadTensor(name, "has no list \"shape\"");
  if (shape->size() > kMaxDims)
    return BadTensor(name, fmt::format("has {} dimensions, expected at most {}", shape->size(), kMaxDims));
  std::vector<uint64_t> dims;
  for (const Json& dim : *shape) {
    WEIR_ASSIGN_OR_RETURN(const uint64_t value, ReadNumber(name, "dimension", dim));
    if (value == 0) return BadTensor(name, "has a dimension of 0");
    dims.push_back(value);
  }
  return dims;
}

Result<DType> ReadType(std::string_view name, const Json* type) {
  if (type == nullptr || !type->is_string()) return BadTensor(name, "has no string \"dtype\"");
  const auto& text = type->get_ref<const std::string&>();
  for (const StoredType& known : kTypes)
    if (known.name == text) return known.dtype;
  return Unimplemented(fmt::format(
      "tensor \"{}\" has type {}; weir reads F32, F16 and BF16. Compressed checkpoints (GPTQ, AWQ, FP8) need "
      "the original they were made from, or a GGUF file",
      QuoteForMessage(name), QuoteForMessage(text)));
}

// `data` is what follows the header.
Result<StoredTensor> ReadEntry(const std::string& name, const Json& entry, uint64_t data_start,
                               std::span<const std::byte> data) {
  if (name.empty()) return Bad("a tensor has no name");
  if (name.size() > kMaxNameBytes)
    return BadTensor(name,
                     fmt::format("has a name of {} bytes, expected at most {}", name.size(), kMaxNameBytes));
  if (!entry.is_object()) return BadTensor(name, "has an entry that is no object");
  StoredTensor tensor;
  tensor.name = name;
  WEIR_ASSIGN_OR_RETURN(tensor.dtype, ReadType(name, FindJson(entry, {"dtype"})));
  WEIR_ASSIGN_OR_RETURN(tensor.shape, ReadShape(name, FindJson(entry, {"shape"})));
  const Json* offsets = FindJson(entry, {"data_offsets"});
  if (offsets == nullptr || !offsets->is_array() || offsets->size() != 2)
    return BadTensor(name, "has no \"data_offsets\" of two numbers");
  WEIR_ASSIGN_OR_RETURN(const uint64_t begin, ReadNumber(name, "data offset", (*offsets)[0]));
  WEIR_ASSIGN_OR_RETURN(const uint64_t end, ReadNumber(name, "data offset", (*offsets)[1]));
  if (begin > end || end > data.size())
    return BadTensor(name, fmt::format("lies at bytes {} to {} of the data, which has {}; it is cut off",
                                       begin, end, data.size()));
  CheckedSize elements(1);
  for (const uint64_t dim : tensor.shape) elements = elements * dim;
  const CheckedSize bytes = elements * Traits(tensor.dtype).block_bytes;
  if (!elements.FitsIn(kMaxElements) || !bytes.valid() || *bytes.value() != end - begin)
    return BadTensor(name, fmt::format("has shape [{}] of {}, but {} bytes", fmt::join(tensor.shape, ", "),
                                       Traits(tensor.dtype).name, end - begin));
  tensor.data = data.subspan(begin, end - begin);
  tensor.offset = data_start + begin;
  return tensor;
}

// Two tensors that share bytes mean that at least one of them is not what its name says.
Status RefuseOverlap(const std::vector<StoredTensor>& tensors) {
  std::vector<const StoredTensor*> order;
  for (const StoredTensor& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(),
            [](const StoredTensor* a, const StoredTensor* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < order.size(); ++i)
    if (order[i]->offset < order[i - 1]->offset + order[i - 1]->data.size())
      return BadTensor(order[i]->name, fmt::format("at byte {} overlaps \"{}\"", order[i]->offset,
                                                   QuoteForMessage(order[i - 1]->name)));
  return OkStatus();
}

Result<std::vector<StoredTensor>> ReadDirectory(std::span<const std::byte> file) {
  if (file.size() < kLengthBytes)
    return Bad(
        fmt::format("is no safetensors file: {} bytes, expected a length of {}", file.size(), kLengthBytes));
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > file.size() - kLengthBytes || length < 2)
    return Bad(
        fmt::format("is no safetensors file: a header of {} bytes in a file of {}", length, file.size()));
  if (length > kMaxHeaderBytes)
    return Bad(fmt::format("has a header of {} bytes, expected at most {}", length, kMaxHeaderBytes));
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  if (text.front() != '{') return Bad("is no safetensors file: its header does not begin with {");
  Result<Json> header = ParseJson(text, 8);
  if (!header.has_value()) return Bad(fmt::format("header: {}", header.error().message()));
  if (!header->is_object()) return Bad("header: expected an object");
  const uint64_t data_start = kLengthBytes + length;
  std::vector<StoredTensor> tensors;
  tensors.reserve(header->size());
  for (const auto& [name, entry] : header->items()) {
    if (name == "__metadata__") continue;
    WEIR_ASSIGN_OR_RETURN(StoredTensor tensor, ReadEntry(name, entry, data_start, file.subspan(data_start)));
    tensors.push_back(std::move(tensor));
  }
  WEIR_RETURN_IF_ERROR(RefuseOverlap(tensors));
  return tensors;
}

}  // namespace

Result<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(const std::string& path) {
  const auto named = [&](const Status& status) {
    return Status(status.code(), fmt::format("{}: {}", path, status.message()));
  };
  std::unique_ptr<SafetensorsFile> out(new SafetensorsFile);
  out->path_ = path;
  auto file = MappedFile::Open(path);
  if (!file.has_value()) return named(file.error());
  out->file_ = std::move(*file);
  auto tensors = ReadDirectory(out->file_->bytes());
  // A file that somebody still writes looks damaged in any way: say so first.
  const Status unchanged = out->file_->CheckUnchanged();
  if (!unchanged.ok()) return named(unchanged);
  if (!tensors.has_value()) return named(tensors.error());
  out->tensors_ = std::move(*tensors);
  return out;
}

Status SafetensorsFile::CheckUnchanged() const {
  const Status status = file_->CheckUnchanged();
  return status.ok() ? status : Status(status.code(), fmt::format("{}: {}", path_, status.message()));
}

}  // namespace weir
