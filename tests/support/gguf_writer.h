// Builds GGUF files in memory, correct ones and, on purpose, damaged ones.
//
// Requires  what is set is written as it is: counts, types, offsets and sizes are not checked
// Owns      everything; Build() may be called again after changes
//
//   GgufWriter file = TinyModelFile({});
//   file.SetUint32("llama.attention.head_count", 0);
//   TempFile damaged(file.Build());
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor/dtype.h"

namespace weir {

// Appends a value as the file has it: little-endian, no padding.
template <typename T>
void AppendRaw(std::string* out, T value) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}
// 64-bit length, then the bytes.
void AppendGgufString(std::string* out, std::string_view text);

struct GgufKey {
  std::string key;
  uint32_t type;      // GGUF value type
  std::string value;  // bytes behind the type, with the element type and count of an array
};

struct GgufTensor {
  std::string name;
  std::vector<uint64_t> dims;  // dims[0] is the row length
  uint32_t type;
  std::string data;
  std::optional<uint64_t> offset;  // written instead of the right one
};

class GgufWriter {
 public:
  // Each replaces the key's value in its place, or appends the key.
  void SetRaw(std::string_view key, uint32_t type, std::string value);
  void SetUint32(std::string_view key, uint32_t value);
  void SetUint64(std::string_view key, uint64_t value);
  void SetInt32(std::string_view key, int32_t value);
  void SetFloat32(std::string_view key, float value);
  void SetBool(std::string_view key, bool value);
  void SetString(std::string_view key, std::string_view value);
  void SetStringArray(std::string_view key, const std::vector<std::string>& values);
  void SetInt32Array(std::string_view key, const std::vector<int32_t>& values);
  void SetFloat32Array(std::string_view key, const std::vector<float>& values);
  void RemoveKey(std::string_view key);

  void AddTensor(std::string_view name, std::vector<uint64_t> dims, DType dtype, std::string data);
  GgufTensor* FindTensor(std::string_view name);  // null when there is none

  std::string Build() const;

  std::vector<GgufKey> keys;
  std::vector<GgufTensor> tensors;
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> num_keys;  // written instead of the right one
  std::optional<uint64_t> num_tensors;
  uint64_t alignment = 32;  // of the data as laid out; does not set general.alignment
};

}  // namespace weir
