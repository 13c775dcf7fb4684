#include "tests/support/gguf_writer.h"

#include <algorithm>
#include <utility>

namespace weir {
namespace {

uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

template <typename T>
std::string RawArray(uint32_t element_type, const std::vector<T>& values) {
  std::string out;
  AppendRaw<uint32_t>(&out, element_type);
  AppendRaw<uint64_t>(&out, values.size());
  for (const T& value : values) AppendRaw(&out, value);
  return out;
}

template <typename T>
std::string Raw(T value) {
  std::string out;
  AppendRaw(&out, value);
  return out;
}

}  // namespace

void AppendGgufString(std::string* out, std::string_view text) {
  AppendRaw<uint64_t>(out, text.size());
  out->append(text);
}

void GgufWriter::SetRaw(std::string_view key, uint32_t type, std::string value) {
  for (GgufKey& entry : keys) {
    if (entry.key != key) continue;
    entry.type = type;
    entry.value = std::move(value);
    return;
  }
  keys.push_back({std::string(key), type, std::move(value)});
}

void GgufWriter::SetUint32(std::string_view key, uint32_t value) { SetRaw(key, 4, Raw(value)); }
void GgufWriter::SetUint64(std::string_view key, uint64_t value) { SetRaw(key, 10, Raw(value)); }
void GgufWriter::SetInt32(std::string_view key, int32_t value) { SetRaw(key, 5, Raw(value)); }
void GgufWriter::SetFloat32(std::string_view key, float value) { SetRaw(key, 6, Raw(value)); }
void GgufWriter::SetBool(std::string_view key, bool value) { SetRaw(key, 7, Raw<uint8_t>(value ? 1 : 0)); }

void GgufWriter::SetString(std::string_view key, std::string_view value) {
  std::string bytes;
  AppendGgufString(&bytes, value);
  SetRaw(key, 8, std::move(bytes));
}

void GgufWriter::SetStringArray(std::string_view key, const std::vector<std::string>& values) {
  std::string bytes;
  AppendRaw<uint32_t>(&bytes, 8);
  AppendRaw<uint64_t>(&bytes, values.size());
  for (const std::string& value : values) AppendGgufString(&bytes, value);
  SetRaw(key, 9, std::move(bytes));
}

void GgufWriter::SetInt32Array(std::string_view key, const std::vector<int32_t>& values) {
  SetRaw(key, 9, RawArray(5, values));
}
void GgufWriter::SetFloat32Array(std::string_view key, const std::vector<float>& values) {
  SetRaw(key, 9, RawArray(6, values));
}

void GgufWriter::RemoveKey(std::string_view key) {
  std::erase_if(keys, [&](const GgufKey& entry) { return entry.key == key; });
}

void GgufWriter::AddTensor(std::string_view name, std::vector<uint64_t> dims, DType dtype, std::string data) {
  tensors.push_back(
      {std::string(name), std::move(dims), static_cast<uint32_t>(dtype), std::move(data), std::nullopt});
}

GgufTensor* GgufWriter::FindTensor(std::string_view name) {
  const auto at =
      std::find_if(tensors.begin(), tensors.end(), [&](const GgufTensor& t) { return t.name == name; });
  return at == tensors.end() ? nullptr : &*at;
}

std::string GgufWriter::Build() const {
  std::string out = magic;
  AppendRaw(&out, version);
  AppendRaw<uint64_t>(&out, num_tensors.value_or(tensors.size()));
  AppendRaw<uint64_t>(&out, num_keys.value_or(keys.size()));
  for (const GgufKey& entry : keys) {
    AppendGgufString(&out, entry.key);
    AppendRaw(&out, entry.type);
    out += entry.value;
  }
  uint64_t offset = 0;
  for (const GgufTensor& tensor : tensors) {
    AppendGgufString(&out, tensor.name);
    AppendRaw<uint32_t>(&out, static_cast<uint32_t>(tensor.dims.size()));
    for (const uint64_t dim : tensor.dims) AppendRaw(&out, dim);
    AppendRaw(&out, tensor.type);
    AppendRaw<uint64_t>(&out, tensor.offset.value_or(offset));
    offset = AlignUp(offset + tensor.data.size(), alignment);
  }
  for (const GgufTensor& tensor : tensors) {
    out.resize(AlignUp(out.size(), alignment), '\0');
    out += tensor.data;
  }
  return out;
}

}  // namespace weir
